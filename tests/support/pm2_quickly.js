// What `pm2` reads before it does anything: two hundred modules, in one file that was compiled when
// the tests were set up. Looking for them and compiling them is two thirds of what a command takes.
//
//   MAKE=modules pm2 jlist   writes into one file what that command reads
//   MAKE=code pm2 jlist      writes what Node compiled that to; another version compiles it anew
const fs = require('fs');
const Module = require('module');
const path = require('path');
const vm = require('vm');

const whole = path.join(__dirname, 'whole.js');
const compiled = path.join(__dirname, 'whole.bin');
const find = Module._resolveFilename;
const compile = Module.prototype._compile;
const asked = (name, parent) => `${parent ? parent.path : ''} ${name}`;

function record() {
  const places = {};
  const bodies = [];
  Module._resolveFilename = function (name, parent, main, options) {
    const place = find.call(this, name, parent, main, options);
    if (path.isAbsolute(place) && !options) places[asked(name, parent)] = place;
    return place;
  };
  Module.prototype._compile = function (text, file) {
    const body = text.replace(/^#!.*/, '');
    const words = 'exports, require, module, __filename, __dirname';
    bodies.push(`${JSON.stringify(file)}: function (${words}) {${body}\n}`);
    return compile.call(this, text, file);
  };
  process.on('exit', () => {
    const all = bodies.join(',\n');
    fs.writeFileSync(whole, `({places: ${JSON.stringify(places)}, bodies: {${all}}})`);
  });
}

function replay() {
  const source = fs.readFileSync(whole, 'utf8');
  const cachedData = fs.existsSync(compiled) ? fs.readFileSync(compiled) : undefined;
  const script = new vm.Script(source, { filename: whole, cachedData });
  const { places, bodies } = script.runInThisContext();
  Module._resolveFilename = function (name, parent, main, options) {
    const place = options ? undefined : places[asked(name, parent)];
    return place || find.call(this, name, parent, main, options);
  };
  const read = Module._extensions['.js'];
  Module._extensions['.js'] = (module, file) => {
    if (bodies[file]) run(bodies[file], module, file);
    else read(module, file);
  };
  if (process.env.MAKE === 'code') {
    process.on('exit', () => fs.writeFileSync(compiled, script.createCachedData()));
  }
}

function run(body, module, file) {
  const required = (name) => module.require(name);
  required.resolve = (name, options) => Module._resolveFilename(name, module, false, options);
  required.main = process.mainModule;
  required.extensions = Module._extensions;
  required.cache = Module._cache;
  body.call(module.exports, module.exports, required, module, file, path.dirname(file));
}

if (process.env.MAKE === 'modules') record();
else replay();
require('../lib/binaries/CLI.js');
