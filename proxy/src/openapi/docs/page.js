// Fetches the OpenAPI document with the reader's token and shows it. The token stays in this tab.
"use strict";

const KEY = "septem.token";
const field = document.getElementById("token");
const said = document.getElementById("said");
const place = document.getElementById("document");

async function show(token) {
  said.textContent = "…";
  const answer = await fetch("openapi.json", { headers: { authorization: `Bearer ${token}` } });
  const body = await answer.json();
  if (!answer.ok) {
    said.textContent = `${answer.status}: ${body.detail}`;
    place.replaceChildren();
    return;
  }
  sessionStorage.setItem(KEY, token);
  said.textContent = "";
  // A document of many models is opened part by part; all of it at once would stop the tab.
  SwaggerUIBundle({
    spec: body,
    domNode: place,
    docExpansion: "none",
    filter: true,
    validatorUrl: null,
    defaultModelsExpandDepth: 0,
    requestInterceptor: (request) => {
      if (new URL(request.url, location.href).origin === location.origin) {
        request.headers.authorization = `Bearer ${sessionStorage.getItem(KEY)}`;
      }
      return request;
    },
  });
}

function ask(token) {
  show(token).catch(() => {
    said.textContent = "The proxy cannot be reached.";
  });
}

document.getElementById("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  const token = field.value.trim().replace(/^Bearer\s+/i, "");
  field.value = "";
  if (token) ask(token);
});

document.getElementById("forget").addEventListener("click", () => {
  sessionStorage.removeItem(KEY);
  place.replaceChildren();
  said.textContent = "";
});

const kept = sessionStorage.getItem(KEY);
if (kept) ask(kept);
