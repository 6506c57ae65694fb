// Parse Server from its one file, and from what Node compiled that to when the tests were set up:
// half of what it takes to start. Another version of Node compiles it anew.
const fs = require('fs');
const path = require('path');
const vm = require('vm');

const file = path.join(__dirname, 'whole.js');
const compiled = path.join(__dirname, 'whole.bin');
// What was compiled before cannot `import` by itself: tests/setup has it ask for this one.
const imported = (name) => import(name);

function run() {
  const words = 'exports, require, module, __filename, __dirname, imported';
  const source = `(function (${words}) {${fs.readFileSync(file, 'utf8')}\n})`;
  const cachedData = fs.existsSync(compiled) ? fs.readFileSync(compiled) : undefined;
  const script = new vm.Script(source, { filename: file, cachedData });
  script.runInThisContext().call(exports, exports, require, module, file, __dirname, imported);
  return script;
}

const script = run();
if (process.env.COMPILE_PARSE_SERVER) fs.writeFileSync(compiled, script.createCachedData());
