// The API key, when the server asks for one. It is kept for this tab only.

const SENDABLE = /^[\x20-\x7e]+$/;
const NAME = "clearair-api-key";

export class KeyCancelled extends Error {
  constructor() {
    super("This server asks for an API key.");
  }
}

export class Keys {
  #dialog;
  #asking = null;
  #cancelled = false;
  #onGiven;

  /**
   * @param {HTMLDialogElement} dialog with a form, a field, a text and a button to cancel
   * @param {function(): void} onGiven told when the user has entered a key
   */
  constructor(dialog, onGiven) {
    this.#dialog = dialog;
    this.#onGiven = onGiven;
  }

  get value() {
    return sessionStorage.getItem(NAME);
  }

  /** Ask from now on, even though the user has cancelled before. */
  askAgain() {
    this.#cancelled = false;
  }

  /**
   * Ask for the key, once for all requests that wait for it.
   *
   * @param {?string} refused the key that the server has just refused, null when none was sent
   */
  async ask(refused) {
    if (this.value !== refused) {
      return; // another request has asked in the meantime
    }
    if (this.#cancelled) {
      throw new KeyCancelled(); // whoever has many photos cancels once
    }
    this.#asking ??= this.#show(refused !== null).finally(() => {
      this.#asking = null;
    });
    await this.#asking;
  }

  #show(wrong) {
    const dialog = this.#dialog;
    const field = dialog.querySelector("input");
    dialog.querySelector("#key-text").textContent = wrong
      ? "The server does not accept this key."
      : "This server asks for a key. Whoever runs it can give you one.";
    field.value = "";
    field.setAttribute("aria-invalid", String(wrong));
    return new Promise((resolve, reject) => {
      const cancel = () => dialog.close("cancel");
      dialog.querySelector("#key-cancel").addEventListener("click", cancel);
      dialog.addEventListener(
        "close",
        () => {
          dialog.querySelector("#key-cancel").removeEventListener("click", cancel);
          const value = field.value.trim();
          field.value = "";
          if (dialog.returnValue === "ok" && SENDABLE.test(value)) {
            sessionStorage.setItem(NAME, value);
            resolve();
            this.#onGiven();
          } else if (dialog.returnValue === "ok") {
            resolve(this.#show(true)); // no header can carry it, so no server has such a key
          } else {
            this.#cancelled = true;
            reject(new KeyCancelled());
          }
        },
        { once: true },
      );
      dialog.returnValue = "";
      dialog.showModal();
      field.focus();
    });
  }
}
