// The moment of a group's page: the slider moves the field, and the field is in the reader's own time.
"use strict";

for (const form of document.querySelectorAll("form.moment")) {
  const field = form.querySelector("input[type=datetime-local]");
  const range = form.querySelector("input[type=range]");
  const zone = form.querySelector("[data-zone]");

  const two = (number) => String(number).padStart(2, "0");
  const local = (at) =>
    `${String(at.getFullYear()).padStart(4, "0")}-${two(at.getMonth() + 1)}-${two(at.getDate())}` +
    `T${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;

  // What is sent is in UTC, whatever the field shows.
  const sent = document.createElement("input");
  sent.type = "hidden";
  sent.name = "at";
  form.append(sent);
  if (field.value) field.value = local(new Date(`${field.value}Z`));
  field.removeAttribute("name");
  zone.textContent = "your time";

  form.addEventListener("submit", () => {
    const at = new Date(field.value);
    sent.disabled = Number.isNaN(at.getTime());
    if (!sent.disabled) sent.value = at.toISOString();
  });

  if (!range) continue;
  range.hidden = false;
  range.addEventListener("input", () => {
    field.value = local(new Date(Number(range.value) * 1000));
  });
  // When it is let go.
  range.addEventListener("change", () => {
    const isNow = Number(range.value) + Number(range.step) > Number(range.max);
    if (isNow) location.assign(form.action);
    else form.requestSubmit();
  });
}
