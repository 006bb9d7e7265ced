from hypothesis import settings

# How long an example takes says more about what else the machine is doing than about the code.
settings.register_profile("clearair", deadline=None, max_examples=30)
settings.load_profile("clearair")
