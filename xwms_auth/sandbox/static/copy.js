// Shows the copy buttons, copies, and says so. Everything else works without this file.
const status = document.getElementById("copied");
// Browsers have a clipboard on https and on the names of this machine only.
for (const button of navigator.clipboard ? document.querySelectorAll("button.copy") : []) {
  const label = button.firstElementChild, what = button.lastElementChild.textContent;
  button.hidden = false;
  button.addEventListener("click", async () => {
    const text = document.getElementById(button.dataset.copies).textContent;
    const done = await navigator.clipboard.writeText(text).then(() => true, () => false);
    label.textContent = done ? "Copied" : "Not copied";
    status.textContent = `${label.textContent}: ${what.trim()}`;
    setTimeout(() => { label.textContent = "Copy"; status.textContent = ""; }, 2000);
  });
}
