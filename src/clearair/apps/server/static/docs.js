"use strict";

// Shows the OpenAPI document of this server with Swagger UI, which asks no other host.
window.addEventListener("DOMContentLoaded", () => {
  window.SwaggerUIBundle({
    url: "openapi.json",
    domNode: document.getElementById("docs"),
    deepLinking: true,
    validatorUrl: null,
  });
});
