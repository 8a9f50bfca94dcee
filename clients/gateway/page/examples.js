// Pictures that come along.
const EXAMPLES = [
  ["scene-2.jpg", "What text is on the black label?"],
  ["scene-3.jpg", "How many blue shapes does the image show?"],
  ["scene-4.jpg", "Which colour does the largest shape have?"],
];

export function loadExamples(box, take) {
  for (const [name, question] of EXAMPLES) {
    const button = document.createElement("button");
    button.type = "button";
    const picture = document.createElement("img");
    picture.src = `/page/examples/${name}`;
    picture.alt = "";
    button.append(picture, question);
    button.addEventListener("click", async () => {
      const blob = await (await fetch(picture.src)).blob();
      take(new File([blob], name, { type: blob.type }), question);
    });
    box.append(button);
  }
}
