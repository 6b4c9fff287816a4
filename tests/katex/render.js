// Renders each string of a JSON list on standard input with KaTeX; prints the messages of those that it refuses, as JSON.
// Up to 10,000 characters with KaTeX's own limit of macros, which longer ones exceed.
const katex = require("katex");
const texts = JSON.parse(require("fs").readFileSync(0, "utf8"));
const faults = [];
for (const text of texts) {
  try {
    const maxExpand = text.length > 10000 ? Infinity : 1000;
    katex.renderToString(text, { displayMode: true, throwOnError: true, strict: "error", maxExpand });
  } catch (error) {
    faults.push(`${error.message} in ${text.slice(0, 200)}`);
  }
}
console.log(JSON.stringify(faults));
