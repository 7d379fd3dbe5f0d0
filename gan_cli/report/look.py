"""The style of the page, for light and dark screens and for paper."""

STYLE = """
:root {
  color-scheme: light dark;
  --ground: #f7f7f5; --card: #ffffff; --ink: #1c1d21; --soft: #5d616b; --line: #e1e2e4; --faint: #efeff0;
  --accent: #2457c5; --wash: #eaf0fd; --good: #1a7f4b; --good-wash: #e3f4ea; --bad: #b3261e; --bad-wash: #fbe9e7;
  --warn: #8a5a00; --warn-wash: #fdf2dc;
  --c0: #2f6fde; --c1: #d9541e; --c2: #1d8f62; --c3: #a63fb5;
  --c4: #b8860b; --c5: #0f95a8; --c6: #c2355f; --c7: #6a5acd;
  --rest: #b4b6bb;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #14151a; --card: #1c1e25; --ink: #e9eaee; --soft: #9ea3af; --line: #30333d; --faint: #262933;
    --accent: #8ab0ff; --wash: #1d2a47; --good: #6fd3a0; --good-wash: #173427; --bad: #ff9a90; --bad-wash: #43201e;
    --warn: #f0c46a; --warn-wash: #3b2f16;
    --c0: #6ea3ff; --c1: #ff8f5c; --c2: #4fcf9b; --c3: #d68be3;
    --c4: #e3b94a; --c5: #4cc9db; --c6: #f27b9b; --c7: #a79cf5;
    --rest: #565a66;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink); font: 15px/1.5 system-ui, -apple-system, "Segoe UI",
  Roboto, "Helvetica Neue", sans-serif; font-variant-numeric: tabular-nums; }
main { max-width: 1160px; margin: 0 auto; padding: 40px 24px 64px; }
h1 { font-size: 30px; line-height: 1.2; margin: 0 0 6px; letter-spacing: -0.01em; overflow-wrap: anywhere; }
h2 { font-size: 20px; margin: 44px 0 12px; }
p { margin: 0 0 10px; max-width: 100ch; }
code, .mono { font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; font-size: 0.92em;
  overflow-wrap: anywhere; }
.eyebrow { color: var(--soft); font-size: 13px; letter-spacing: 0.06em; text-transform: uppercase; margin-bottom: 4px; }
.soft { color: var(--soft); }
.small { font-size: 13px; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 12px; }
.headline { display: flex; gap: 14px 32px; flex-wrap: wrap; align-items: baseline; padding: 20px 24px;
  margin: 24px 0 14px; }
.headline .value { font-size: 34px; font-weight: 650; letter-spacing: -0.02em; line-height: 1.1; white-space: nowrap; }
.headline .value small { font-size: 18px; font-weight: 450; color: var(--soft); }
.headline .what { font-size: 17px; font-weight: 600; overflow-wrap: anywhere; }
.pill { display: inline-block; padding: 1px 9px; border-radius: 99px; font-size: 12.5px; font-weight: 550;
  background: var(--faint); color: var(--soft); vertical-align: 2px; white-space: nowrap; }
.pill.finished { background: var(--good-wash); color: var(--good); }
.pill.failed, .pill.diverged, .pill.unreadable { background: var(--bad-wash); color: var(--bad); }
.pill.cut, .pill.interrupted, .pill.running { background: var(--warn-wash); color: var(--warn); }
.notes { margin: 14px 0; padding: 12px 18px 12px 34px; background: var(--warn-wash); border-radius: 10px; }
.notes li { margin: 3px 0; overflow-wrap: anywhere; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 14.5px; }
th, td { padding: 9px 14px; text-align: left; border-bottom: 1px solid var(--line); white-space: nowrap; }
th { font-size: 12.5px; font-weight: 600; color: var(--soft); }
tbody tr:last-child td { border-bottom: 0; }
tbody tr.first td { background: var(--wash); }
td.n, th.n { text-align: right; }
td.mean { font-weight: 650; }
th .ends { display: flex; justify-content: space-between; width: 170px; font-weight: 450; }
dl.protocol { display: grid; gap: 1px; margin: 10px 2px 0; font-size: 13px; color: var(--soft); }
dl.protocol div { display: flex; gap: 7px; }
dl.protocol dt { font-weight: 600; min-width: 66px; }
dl.protocol dd { margin: 0; overflow-wrap: anywhere; }
.legend { display: flex; flex-wrap: wrap; gap: 4px 20px; margin: 0 0 12px; padding: 0; list-style: none;
  font-size: 13.5px; }
.legend li::before { content: ""; display: inline-block; width: 16px; height: 4px; border-radius: 2px;
  margin-right: 7px; vertical-align: middle; background: var(--k); }
.panels { display: grid; grid-template-columns: repeat(auto-fill, minmax(320px, 1fr)); gap: 14px; }
figure { margin: 0; padding: 12px 12px 8px; }
figcaption { font-weight: 600; font-size: 14px; margin: 0 4px 4px; overflow-wrap: anywhere; }
svg.strip { display: block; }
svg.panel { display: block; width: 100%; height: auto; }
svg text { font-family: inherit; fill: var(--soft); }
svg .tick { font-size: 10.5px; }
svg .axis { font-size: 11.5px; }
svg .across { stroke: var(--line); stroke-width: 1; }
svg polyline { fill: none; stroke: var(--k); stroke-width: 1.7; stroke-linejoin: round; stroke-linecap: round; }
svg.many polyline { stroke-width: 0.9; stroke-opacity: 0.7; }
svg circle { fill: var(--k); }
svg .dots { --k: var(--c0); fill-opacity: 0.65; }
svg .mean { stroke: var(--ink); stroke-width: 2; }
.c0 { --k: var(--c0); } .c1 { --k: var(--c1); } .c2 { --k: var(--c2); } .c3 { --k: var(--c3); }
.c4 { --k: var(--c4); } .c5 { --k: var(--c5); } .c6 { --k: var(--c6); } .c7 { --k: var(--c7); }
.rest { --k: var(--rest); }
.cells { display: grid; grid-template-columns: repeat(auto-fill, minmax(330px, 1fr)); gap: 18px; align-items: start; }
article { overflow: hidden; break-inside: avoid; }
article .grid { display: block; width: 100%; height: auto; background: var(--faint);
  border-bottom: 1px solid var(--line); }
article .none { padding: 36px 16px; text-align: center; color: var(--soft); background: var(--faint); }
article .body { padding: 14px 16px 12px; }
article h3 { margin: 0 0 4px; font-size: 15.5px; line-height: 1.35; overflow-wrap: anywhere; }
article .scores { width: 100%; margin: 8px 0 4px; font-size: 13.5px; }
article .scores td, article .scores th { padding: 4px 0; white-space: normal; overflow-wrap: anywhere; }
article .scores .n { padding-left: 14px; white-space: nowrap; }
article .legend { margin: 10px 0 0; }
article .error { color: var(--bad); font-size: 13.5px; overflow-wrap: anywhere; }
footer { margin-top: 48px; color: var(--soft); font-size: 13px; }
@media print { body { background: #fff; } main { padding: 0; max-width: none; } .card { border-color: #ccc; } }
""".strip()
