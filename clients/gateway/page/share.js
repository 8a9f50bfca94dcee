// An answer as one file without scripts, that needs nothing else to be looked at.
export async function share(section, question) {
  const copy = section.cloneNode(true);
  for (const one of copy.querySelectorAll(".tools, .writing")) one.remove();
  for (const button of copy.querySelectorAll("button")) {
    const words = document.createElement("strong");
    words.className = button.className;
    words.setAttribute("style", button.getAttribute("style") ?? "");
    words.textContent = button.textContent;
    button.replaceWith(words);
  }
  const style = await (await fetch("/page/page.css")).text();
  const page = document.implementation.createHTMLDocument(question);
  page.documentElement.lang = "en";
  const charset = page.createElement("meta");
  charset.setAttribute("charset", "utf-8");
  const sheet = page.createElement("style");
  sheet.textContent = style;
  page.head.prepend(charset);
  page.head.append(sheet);
  const main = page.createElement("main");
  const asked = page.createElement("h1");
  asked.textContent = question;
  const runs = page.createElement("div");
  runs.className = "runs";
  runs.append(page.importNode(copy, true));
  main.append(asked, runs);
  page.body.append(main);
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([`<!doctype html>\n${page.documentElement.outerHTML}`], { type: "text/html" }));
  link.download = "pixelis.html";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}
