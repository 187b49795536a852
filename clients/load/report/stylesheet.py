"""How a run's page looks: on light and dark screens, and on paper, where nothing is dark."""

from __future__ import annotations

from typing import Final

# Told apart by most who see colours otherwise too (after Okabe and Ito), and on both backgrounds.
LIGHT: Final = (
    "#0069a8",
    "#c2500a",
    "#00805c",
    "#b0458f",
    "#6a52b3",
    "#8a6412",
    "#2389c9",
    "#5a5a5a",
)
DARK: Final = (
    "#5aaef0",
    "#ff9a5c",
    "#3fcf9f",
    "#f08fc7",
    "#b9a2ff",
    "#e0b04a",
    "#96dbff",
    "#c4c4c4",
)
COLOURS: Final = len(LIGHT)

LAYOUT: Final = """
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);
font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans",sans-serif}
main{max-width:960px;margin:0 auto;padding:32px 20px 48px}
h1{font-size:28px;line-height:1.2;margin:0 12px 4px 0}
h2{font-size:18px;margin:36px 0 8px}
h3{font-size:15px;margin:24px 0 0;color:var(--ink)}
p{margin:4px 0}
.top{display:flex;flex-wrap:wrap;align-items:center}
.aside,figcaption,footer{color:var(--faint)}
.verdict{font-weight:600;padding:2px 12px;border-radius:999px;border:1px solid currentColor}
.good{color:var(--good)}.bad{color:var(--bad)}.doubtful{color:var(--doubtful)}
.notice{border-left:4px solid currentColor;padding:8px 12px;margin:12px 0 0;background:var(--panel)}
.notice span{color:var(--ink)}
.totals{display:grid;grid-template-columns:repeat(auto-fit,minmax(120px,1fr));gap:12px;
margin:20px 0 0;padding:0}
.totals div{background:var(--panel);border-radius:8px;padding:10px 14px}
.totals dt{color:var(--faint);font-size:13px}
.totals dd{margin:0;font-size:22px;font-weight:600;font-variant-numeric:tabular-nums}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th,td{padding:6px 10px;text-align:left;border-bottom:1px solid var(--grid);vertical-align:top}
th:first-child,td:first-child{padding-left:0}th:last-child,td:last-child{padding-right:0}
thead th{color:var(--faint);font-weight:500;font-size:13px}
tbody th{font-weight:500}
.name,.number{white-space:nowrap}
.number{text-align:right}
.code{font-family:ui-monospace,"SF Mono",Menlo,Consolas,monospace;font-size:13.5px}
figure{margin:4px 0 0}
svg{display:block;width:100%;min-width:620px;height:auto}
svg text{fill:var(--faint);font-size:12px;font-variant-numeric:tabular-nums}
.grid{stroke:var(--grid);fill:none;shape-rendering:crispEdges}
.line{fill:none;stroke:currentColor;stroke-width:1.8;stroke-linejoin:round;stroke-linecap:round}
.lower{stroke-width:1.4;stroke-dasharray:3 4}
.failed{color:var(--bad)}.dropped{color:var(--doubtful)}
.line.failed{stroke-dasharray:7 5}.line.dropped{stroke-dasharray:1 5}
.line.alone{stroke-width:7;stroke-dasharray:none}.lower.alone{stroke-width:5}
.strip rect,.dot circle{fill:transparent;stroke:none}
.strip:hover rect{fill:var(--pointed)}.dot:hover circle{fill:currentColor}
.key{display:flex;flex-wrap:wrap;align-items:center;gap:4px 18px;margin:8px 0 0;padding:0;
list-style:none}
.key li>*{display:flex;align-items:center;gap:6px}
.key input{accent-color:currentColor;margin:0;cursor:pointer}
.key span{color:var(--ink)}
.swatch{display:inline-block;width:22px;border-top:3px solid currentColor}
.swatch.failed{border-top-style:dashed}.swatch.dropped{border-top-style:dotted}
.dot-of{display:inline-block;width:10px;height:10px;border-radius:50%;background:currentColor;
margin-right:8px}
.nothing{background:var(--panel);border-radius:8px;padding:24px;text-align:center;
color:var(--faint);margin-top:8px}
footer{margin-top:40px;font-size:13px}
@media print{main{max-width:none;padding:0}body{font-size:12px}h2{break-after:avoid}
.scroll{overflow:visible}svg{min-width:0}figure,tr,.totals,.notice{break-inside:avoid}
.key input{display:none}*{print-color-adjust:exact}}
@page{margin:16mm}
"""

ON_LIGHT: Final = (
    "--page:#fff;--panel:#f4f5f7;--ink:#1d2127;--faint:#5d6672;--grid:#e1e4e8;"
    "--good:#1a7f37;--bad:#c62828;--doubtful:#8f5a00;--pointed:rgba(30,60,90,.09)"
)
ON_DARK: Final = (
    "--page:#14171b;--panel:#1e2329;--ink:#e6e9ed;--faint:#9aa5b1;--grid:#2d343c;"
    "--good:#4ac26b;--bad:#ff7b72;--doubtful:#e3b341;--pointed:rgba(200,220,255,.12)"
)


def stylesheet(steps: int) -> str:
    """For a page of so many steps, each of which can be hidden from the plots."""
    hiding = (
        f".plots:has(#show-{number}:not(:checked)) svg .step-{number}{{display:none}}"
        for number in range(1, steps + 1)
    )
    return "\n".join(
        [
            f":root{{color-scheme:light;{ON_LIGHT}}}",
            *_colours(LIGHT),
            "@media screen and (prefers-color-scheme:dark){",
            f":root{{color-scheme:dark;{ON_DARK}}}",
            *_colours(DARK),
            "}",
            LAYOUT.strip(),
            *hiding,
        ]
    )


def _colours(colours: tuple[str, ...]) -> list[str]:
    return [f".c{number}{{color:{colour}}}" for number, colour in enumerate(colours, 1)]
