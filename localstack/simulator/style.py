"""The style sheet of the simulator's pages: one file, light and dark, no scripts, no fonts."""

STYLE = """
:root { color-scheme: light dark; --ink: #1c2430; --quiet: #5d6878; --ground: #f6f7f9;
  --card: #fff; --line: #dfe3e9; --link: #1d5fbf; --good: #14713b; --bad: #b3261e; --odd: #8a5a00 }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e8ee; --quiet: #9aa5b4; --ground: #14181e;
  --card: #1c222a; --line: #323b47; --link: #7fb2ff; --good: #6fd39a; --bad: #ff8f86;
  --odd: #f0c060 } }
* { box-sizing: border-box }
body { margin: 0; background: var(--ground); color: var(--ink);
  font: 15px/1.5 system-ui, sans-serif }
header { display: flex; gap: 1.5rem; align-items: baseline; padding: .8rem 1.5rem;
  background: var(--card); border-bottom: 1px solid var(--line) }
nav { display: flex; gap: 1rem }
main { max-width: 80rem; margin: 0 auto; padding: 1rem 1.5rem; overflow-x: auto }
h1 { font-size: 1.4rem; margin: .4rem 0; overflow-wrap: anywhere }
h2 { font-size: 1.1rem; margin: 2rem 0 .2rem }
a { color: var(--link) }
.quiet, .empty, th { color: var(--quiet) }
.empty { padding: 2rem; text-align: center }
table { width: 100%; border-collapse: collapse; background: var(--card);
  border: 1px solid var(--line) }
th, td { padding: .45rem .7rem; text-align: left; vertical-align: top;
  border-bottom: 1px solid var(--line) }
th { font-weight: 600; font-size: .85rem }
.pairs th { width: 14rem }
.wrap { overflow-wrap: anywhere }
time, code, pre { font-family: ui-monospace, monospace; font-size: .85rem }
time { white-space: nowrap }
pre { margin: 0; padding: 1rem; white-space: pre-wrap; overflow-wrap: anywhere;
  background: var(--card); border: 1px solid var(--line) }
form { display: flex; gap: .5rem; margin: .5rem 0 }
input[name=to] { flex: 0 1 24rem; padding: .4rem .6rem; font: inherit }
button { padding: .4rem .9rem; font: inherit }
.badge { font-size: .8rem; font-weight: 600; color: var(--quiet) }
.badge.pass { color: var(--good) } .badge.fail { color: var(--bad) }
.badge.error, .badge.pending { color: var(--odd) }
.tabs { display: flex; flex-wrap: wrap; margin-top: 1rem }
.tabs > input { position: absolute; opacity: 0 }
.tabs > label { order: 1; padding: .5rem 1rem; cursor: pointer; color: var(--quiet);
  border-bottom: 2px solid transparent }
.tabs > input:checked + label { color: var(--ink); font-weight: 600; border-color: var(--link) }
.tabs > input:focus-visible + label { outline: 2px solid var(--link) }
.tabs > section { order: 2; width: 100%; display: none; padding-top: 1rem }
.tabs > input:checked + label + section { display: block }
iframe { width: 100%; height: 34rem; border: 1px solid var(--line); background: #fff }
"""
