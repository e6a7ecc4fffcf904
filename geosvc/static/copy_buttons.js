// Buttons that copy snippets of code.

const REST_MS = 2000;

/**
 * Gives a snippet a button.
 * @param {HTMLElement} box with the code; its data-copy says what the code is for
 */
export function addCopyButton(box) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = "Copy";
  button.setAttribute("aria-label", `Copy for ${box.dataset.copy}`);
  button.addEventListener("click", async () => {
    const write = text => button.replaceChildren(text);
    write(await copy(box.querySelector("code")));
    setTimeout(() => write("Copy"), REST_MS);
  });
  box.append(button);
}

// Without TLS browsers give scripts no clipboard; then the code is selected at least.
async function copy(code) {
  try {
    await navigator.clipboard.writeText(code.textContent);
    return "Copied";
  } catch {
    getSelection().selectAllChildren(code);
    return "Selected";
  }
}
