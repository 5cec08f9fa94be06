// Shows the copy buttons, copies, and says so. Everything else works without this file.
const status = document.getElementById("copied");
// Browsers have a clipboard on https and on the names of this machine only.
for (const button of navigator.clipboard ? document.querySelectorAll("button.copy") : []) {
  const name = button.ariaLabel, what = name.replace("Copy ", "");
  button.hidden = false;
  button.addEventListener("click", async () => {
    const text = document.getElementById(button.dataset.copies).textContent;
    const done = await navigator.clipboard.writeText(text).then(() => "Copied", () => "Not copied");
    button.textContent = done;
    button.ariaLabel = status.textContent = `${done}: ${what}`;
    setTimeout(() => {
      button.textContent = "Copy";
      button.ariaLabel = name;
      status.textContent = "";
    }, 2000);
  });
}
