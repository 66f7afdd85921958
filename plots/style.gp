# The look of all figures, and the strategies' names and line styles. A figure's script begins with
#
#   folder = ARG0[1 : strlen(ARG0) - strlen("<figure>.gp")]
#   table = ARG1; figure = ARG2
#   first = 4; stride = 1    # where the table's header names the strategies; first = 0: column 1 does
#   with_legend = 1          # 1: a legend above the plot, as high as it needs
#   height(n) = 2.0          # inches without the legend, with n strategies
#   load folder . "style.gp"
#
# and finds n strategies, label[i], style[i] (a line style), colour[i], and the terminal and the
# margins set. Lengths are inches; across() and down() turn them into fractions of the screen.

set encoding utf8
set datafile separator tab
set decimalsign "."

# --- line styles: colour, dash and point differ, so that grey print tells them apart too
# Okabe and Ito's colours, but for their yellow, which is too light for a line; two of Tol's follow.
set style line  1 lc rgb "#0072B2" lw 0.9 dt 1              pt 7  ps 0.40
set style line  2 lc rgb "#D55E00" lw 0.9 dt (6,2)          pt 5  ps 0.38
set style line  3 lc rgb "#009E73" lw 0.9 dt (7,2,2,2)      pt 9  ps 0.48
set style line  4 lc rgb "#CC79A7" lw 0.9 dt (3,1.5)        pt 13 ps 0.50
set style line  5 lc rgb "#E69F00" lw 0.9 dt (9,2,2,2,2,2)  pt 11 ps 0.48
set style line  6 lc rgb "#56B4E9" lw 0.9 dt 1              pt 4  ps 0.45
set style line  7 lc rgb "#332288" lw 0.9 dt (12,3)         pt 8  ps 0.50
set style line  8 lc rgb "#999933" lw 0.9 dt (5,2,1.5,2)    pt 12 ps 0.50
# The two references look the same wherever they stand.
set style line 11 lc rgb "#808080" lw 0.9 dt (4,2)          pt 6  ps 0.45
set style line 12 lc rgb "#000000" lw 0.9 dt (1.5,1.2)      pt 2  ps 0.40
n_styles = 8
array rgb[12] = [0x0072B2, 0xD55E00, 0x009E73, 0xCC79A7, 0xE69F00, 0x56B4E9, 0x332288, 0x999933, \
                 0, 0, 0x808080, 0x000000]

# --- the strategies
stats table skip 1 using (0) nooutput
n_rows = STATS_records
n_columns = STATS_columns
array label[256]
array style[256]
array colour[256]
n = 0
n_plain = 0
style_of(name) = name eq "none" ? 11 : name eq "hindsight" ? 12 : \
                 (n_plain = n_plain + 1, 1 + (n_plain - 1) % n_styles)
add(name) = n >= 256 ? 0 : (n = n + 1, label[n] = name, style[n] = style_of(name), \
                            colour[n] = rgb[style[n]])
set table $nothing
if (first > 0) {
  plot table every ::0::0 using (sum [i = 0 : (n_columns - first) / stride] add(strcol(first + i * stride)))
} else {
  plot table skip 1 using (add(strcol(1)))
}
unset table

# --- sizes
width = 3.33 # one column of a paper
text = 7     # points
small = 6
# In a wide sans serif, which is near enough for any.
em(c) = strstrt("mwMW@%", c) > 0 ? 0.95 : strstrt("fijlt.,:;' ()/-", c) > 0 ? 0.35 : 0.61
text_width(t) = text / 72.0 * (strlen(t) > 0 ? sum [k = 1 : strlen(t)] em(t[k : k]) : 0)
# A number at an axis, as a hundred or a thousand and never as 1e+03.
number(v) = v >= 1000 ? sprintf("%.0f", v) : sprintf("%.3g", v)
across(x) = x / width
down(y) = 1 - y / tall

# --- the legend's layout: as many labels in a row as fit
sample = 0.24
line = 0.125
array legend_row[n]
array legend_x[n]
array row_width[n]
legend_rows = 0
x_next = width
do for [i = 1 : n] {
  x_end = x_next + sample + 0.04 + text_width(label[i])
  if (x_end > width - 0.04) {
    legend_rows = legend_rows + 1
    x_end = x_end - x_next
    x_next = 0
  }
  legend_row[i] = legend_rows
  legend_x[i] = x_next
  row_width[legend_rows] = x_end
  x_next = x_end + 0.1
}
legend_height = with_legend ? legend_rows * line + 0.05 : 0
tall = height(n) + legend_height

# --- the terminal: the format by the figure's ending
font(points) = sprintf("%s,%g", "Helvetica", points * font_scale)
ending = figure[strlen(figure) - 3 :]
tic_shift = 0 # lines that tic labels move up: the svg terminal sets them too low,
tic_right = 0 # and characters that those of y move right: it sets them too far left
if (ending eq ".pdf") {
  font_scale = 1
  set terminal pdfcairo noenhanced color size width,tall font font(text) fontscale 0.75 \
    linewidth 1 pointscale 0.75 dashlength 1.7 butt
} else { if (ending eq ".svg") {
  font_scale = 96 / 72.0
  tic_shift = 0.5
  tic_right = 0.6
  set terminal svg noenhanced size width * 96,tall * 96 font font(text) fontscale 1 \
    linewidth 1 dashlength 1.7 butt background "white"
} else { if (ending eq ".png") {
  font_scale = 300 / 96.0
  set terminal pngcairo noenhanced color size width * 300,tall * 300 font font(text) fontscale 1 \
    linewidth 3 pointscale 3.1 dashlength 2.4 butt
} else {
  exit message sprintf("%s: a figure's name ends in .pdf, .svg or .png", figure)
} } }
set output figure

# --- axes and margins
set border 3 lw 0.6 lc rgb "#404040"
set tics out nomirror scale 0.5 textcolor rgb "#000000"
set xtics offset 0,tic_shift
set ytics offset tic_right,0
set grid y lt 1 lw 0.4 lc rgb "#E0E0E0" dt 1
set key off
set style fill solid border
set lmargin at screen across(0.52)
set rmargin at screen across(width - 0.15)
set tmargin at screen down(legend_height + 0.06)
set bmargin at screen down(tall - 0.36)

if (with_legend) {
  do for [i = 1 : n] {
    x = (width - row_width[legend_row[i]]) / 2 + legend_x[i]
    y = 0.08 + (legend_row[i] - 1) * line
    set arrow 1000 + i from screen across(x), screen down(y) rto screen across(sample), screen 0 nohead ls style[i]
    set label 1000 + i "" at screen across(x + sample / 2), screen down(y) point ls style[i]
    set label 2000 + i label[i] at screen across(x + sample + 0.04), screen down(y) left
  }
}
