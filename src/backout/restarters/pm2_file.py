"""An ecosystem file: whether PM2 would start from it what it keeps.

PM2 takes an application's environment and arguments anew at each restart, and nothing else: the
program, its directory and interpreter, the mode and how many instances stay those of its first
start, whatever the file says by now.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from backout.restarters.backend import quote

_CHANGED = """
const fs = require("fs"), path = require("path");
const [file, name, kept] = process.argv.slice(1);
const real = (name) => { try { return fs.realpathSync(name); } catch { return name; } };
const plain = (mode) => (mode || "").replace(/_mode$/, "");
const all = file.endsWith(".json")
  ? JSON.parse(fs.readFileSync(file, "utf8")) : require(path.resolve(file));
const app = [].concat(all.apps || all).find((one) => one.name === name);
if (app && app.script) {
  const cwd = path.resolve(app.cwd || "."), script = path.resolve(cwd, app.script);
  const count = Number(app.instances) || 0;
  const mode = plain(app.exec_mode) || (app.instances === undefined ? "fork" : "cluster");
  const rows = JSON.parse(kept);
  const differs = (one) =>
    (fs.existsSync(script) && one.script && real(script) !== real(one.script)) ||
    (one.cwd && real(cwd) !== real(one.cwd)) ||
    (one.mode && mode !== plain(one.mode)) ||
    (one.interpreter && app.interpreter &&
      path.basename(app.interpreter) !== path.basename(one.interpreter));
  if (rows.some(differs) || (count > 0 && count !== rows.length)) console.log("changed");
}
""".strip()


def changed(ecosystem: str, name: str, kept: Sequence[Mapping[str, str]]) -> str:
    """Shell text that prints something when the file would start another application than the
    instances that PM2 keeps; nothing where it is in no language that node reads by itself."""
    return f"{quote('node', '-e', _CHANGED, '--', ecosystem, name, json.dumps(kept))} 2>/dev/null"
