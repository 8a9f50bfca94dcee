"""How the HTML report looks, in light and in dark."""

from __future__ import annotations

STYLE = """
:root { --ink:#1b2430; --soft:#5b6675; --line:#e3e7ed; --page:#f4f6f9; --card:#fff; --link:#2257c4; --zebra:#f8fafc;
  --good:#12703b; --good-bg:#def5e6; --warn:#8a5a00; --warn-bg:#fdf0cf; --bad:#a3202c; --bad-bg:#fde3e4;
  --off:#5b6675; --off-bg:#eceff3; }
@media (prefers-color-scheme: dark) { :root { --ink:#e6eaf0; --soft:#9aa6b5; --line:#2b3442; --page:#0f141b;
  --card:#171e28; --link:#8ab4ff; --zebra:#1b2430; --good:#7fdca2; --good-bg:#12351f; --warn:#f2cc77; --warn-bg:#3a2d0c;
  --bad:#ff9aa0; --bad-bg:#431a1e; --off:#a4afbd; --off-bg:#252e3a; } figure { background:#fff; } }
* { box-sizing:border-box; }
body { margin:0; background:var(--page); color:var(--ink);
  font:14px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",sans-serif; }
main { max-width:1400px; margin:0 auto; padding:28px 20px 60px; }
h1 { font-size:26px; margin:0 0 4px; letter-spacing:-.01em; }
h2 { font-size:18px; margin:0 0 10px; }
h3 { font-size:14px; margin:18px 0 6px; }
p { margin:0 0 12px; max-width:86ch; }
.sub { color:var(--soft); font-size:13px; }
.card { background:var(--card); border:1px solid var(--line); border-radius:10px; padding:18px 20px; margin:16px 0; }
.scroll { overflow-x:auto; margin:8px 0 12px; }
table { border-collapse:collapse; width:100%; font-size:12px; }
th { text-align:left; font-weight:600; color:var(--soft); border-bottom:1px solid var(--line); padding:5px 7px;
  white-space:nowrap; vertical-align:bottom; }
td { padding:5px 7px; border-bottom:1px solid var(--line); vertical-align:top; }
tbody tr:nth-child(even) { background:var(--zebra); }
tbody tr:last-child td { border-bottom:0; }
.n { text-align:right; font-variant-numeric:tabular-nums; white-space:nowrap; }
td b { white-space:nowrap; font-weight:600; }
.why { color:var(--soft); }
.star { color:#d4a017; }
.pill { display:inline-block; padding:0 8px; border-radius:9px; font-size:11.5px; white-space:nowrap;
  background:var(--off-bg); color:var(--off); }
.pill.measured, .pill.pass { background:var(--good-bg); color:var(--good); }
.pill.warn, .pill.not-executed, .pill.not-measured { background:var(--warn-bg); color:var(--warn); }
.pill.refused, .pill.failed, .pill.fail { background:var(--bad-bg); color:var(--bad); }
figure { margin:8px 0 12px; border:1px solid var(--line); border-radius:8px; overflow:hidden; padding:6px; }
figure svg { width:100%; height:auto; display:block; }
figcaption { color:#5b6675; font-size:12px; padding:2px 8px 4px; }
details { border-top:1px solid var(--line); padding:8px 0 0; margin-top:8px; }
summary { cursor:pointer; font-weight:600; color:var(--link); }
a { color:var(--link); text-decoration:none; }
a:hover { text-decoration:underline; }
code { font-size:12px; background:var(--off-bg); border-radius:4px; padding:0 4px; }
.none { color:var(--soft); }
@media print { body { background:#fff; } .card { break-inside:avoid; border:0; padding:0; } }
"""
