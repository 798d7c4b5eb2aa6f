"""The style sheet of the tear sheet: one text, with the colours of both schemes as variables. It holds no data and no rule.

The series colours keep at least 3:1 contrast to the page in their scheme and stay apart for the common colour blindnesses.
"""

STYLE = """
:root{--page:#fbfbfa;--card:#fff;--ink:#1b1f24;--soft:#5c6570;--rule:#e2e5e9;--axis:#9aa3ad;
--s0:#1f5fbf;--s1:#c2571a;--s2:#1e8a66;--s3:#8a4fb5;--s4:#a17c07;--s5:#bb3e64;--s6:#4f6b7a;--s7:#6b8e23;
--grave:#a32020;--graveback:#fdeeee;--remark:#6a5a1e;--remarkback:#faf5e4;--up:31,130,90;--down:190,60,50}
@media screen and (prefers-color-scheme:dark){:root{--page:#14171b;--card:#1b2026;--ink:#e6e9ec;--soft:#9aa4af;--rule:#2c333b;
--axis:#5f6975;--s0:#6ea8ff;--s1:#f0955a;--s2:#54c79b;--s3:#c08ee8;--s4:#d9b84a;--s5:#ee7fa0;--s6:#9bb3c1;--s7:#a9c95c;
--grave:#ff9c94;--graveback:#3a1f1f;--remark:#e3cf8a;--remarkback:#2e2a1a;--up:70,180,130;--down:225,95,85}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif;
font-variant-numeric:tabular-nums}
main{max-width:1080px;margin:0 auto;padding:32px 20px 48px}
h1{font-size:28px;line-height:1.2;margin:0 0 6px;letter-spacing:-.01em}
h2{font-size:18px;margin:0 0 4px}
h3{font-size:15px;margin:0}
p{margin:0;color:var(--soft)}
header{margin-bottom:20px}
.banners{list-style:none;margin:0 0 20px;padding:0;display:grid;gap:8px}
.banners li{padding:9px 14px;border-left:4px solid;border-radius:4px;font-size:14px}
.banners .grave{color:var(--grave);background:var(--graveback)}
.banners .remark{color:var(--remark);background:var(--remarkback)}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(116px,1fr));gap:12px;margin:0 0 20px}
.tiles div,figure,section:not(.charts){background:var(--card);border:1px solid var(--rule);border-radius:8px}
.tiles div{padding:12px;display:flex;flex-direction:column;justify-content:space-between}
dt{font-size:13px;color:var(--soft)}
dd{margin:2px 0 0;font-size:22px;font-weight:600;line-height:1.25}
dd small{display:block;font-size:13px;font-weight:400;color:var(--soft)}
.charts{display:grid;grid-template-columns:repeat(2,minmax(0,1fr));gap:16px}
.charts+.charts{margin-top:16px}
figure{margin:0;padding:14px 16px 10px;display:flex;flex-direction:column;justify-content:space-between}
figure.wide{grid-column:1/-1}
figcaption p{font-size:13px}
.legend{list-style:none;display:flex;flex-wrap:wrap;gap:2px 16px;margin:4px 0 0;padding:0;font-size:13px;color:var(--soft)}
.legend b{color:var(--ink);font-weight:600}
.legend i{display:inline-block;width:14px;height:3px;border-radius:2px;margin-right:6px;vertical-align:middle;
background:var(--c)}
.plot{position:relative;height:190px;margin:16px 0 24px 62px}
.wide .plot{height:280px}
.plot svg{position:absolute;inset:0;width:100%;height:100%;overflow:visible}
.plot span{position:absolute;font-size:12px;line-height:1;color:var(--soft);white-space:nowrap}
.y{position:absolute;right:100%;top:0;bottom:0;width:62px}
.y span{right:8px;transform:translateY(-50%)}
.x{position:absolute;top:100%;left:0;right:0}
.x span{top:8px}
.grid,.axis,.line,.bar{vector-effect:non-scaling-stroke;fill:none}
.grid{stroke:var(--rule);stroke-width:1}
.axis{stroke:var(--axis);stroke-width:1}
.line{stroke:var(--c);stroke-width:1.6;stroke-linejoin:round;stroke-linecap:round}
.bar{stroke:var(--c);stroke-width:1.4}
.fill{fill:var(--c);opacity:.16}
.s0{--c:var(--s0)}.s1{--c:var(--s1)}.s2{--c:var(--s2)}.s3{--c:var(--s3)}
.s4{--c:var(--s4)}.s5{--c:var(--s5)}.s6{--c:var(--s6)}.s7{--c:var(--s7)}
.none{padding:60px 0;text-align:center}
section:not(.charts){padding:16px;margin-top:16px}
section p{font-size:13px}
.pair{display:grid;grid-template-columns:repeat(2,minmax(0,1fr));gap:0 16px;align-items:start}
.scroll{overflow-x:auto;margin-top:10px}
table{border-collapse:collapse;width:100%;font-size:14px}
th,td{padding:5px 8px;text-align:right;border-bottom:1px solid var(--rule);white-space:nowrap}
tbody tr:last-child>*{border-bottom:0}
th:first-child{text-align:left;padding-left:0}
thead th{font-weight:500;color:var(--soft);font-size:13px}
tbody th{font-weight:500}
.grouped .head>*{font-weight:600}.grouped tr:not(.head) th:first-child{padding-left:16px}
.grouped tr:not(.head) td{color:var(--soft)}
section .banners{margin:10px 0 0}
.months td{font-size:13px;min-width:58px}
.months .year{font-weight:600}
.up1{background:rgba(var(--up),.08)}.up2{background:rgba(var(--up),.16)}.up3{background:rgba(var(--up),.25)}
.up4{background:rgba(var(--up),.35)}.up5{background:rgba(var(--up),.46)}
.down1{background:rgba(var(--down),.08)}.down2{background:rgba(var(--down),.16)}.down3{background:rgba(var(--down),.25)}
.down4{background:rgba(var(--down),.35)}.down5{background:rgba(var(--down),.46)}
footer{margin-top:20px;font-size:13px}
@media (max-width:720px){main{padding:20px 12px 32px}h1{font-size:23px}.charts,.pair{grid-template-columns:minmax(0,1fr)}
.tiles{grid-template-columns:repeat(2,minmax(0,1fr))}.plot{margin-left:54px}.wide .plot{height:210px}
.grouped{font-size:13px}.grouped th,.grouped td{padding:5px 4px}.grouped th:first-child{padding-left:0;white-space:normal}
.scroll th:first-child{position:sticky;left:0;background:var(--card)}}
@media print{body{background:#fff}main{padding:0}figure,.tiles div,tr{break-inside:avoid}
.pair{grid-template-columns:minmax(0,1fr)}.plot{height:150px}.scroll{overflow:visible}
table,th,td,thead th,.months td{font-size:11px}th,td,.months td{padding:3px 4px;min-width:0}thead th{white-space:normal}}
""".strip()
