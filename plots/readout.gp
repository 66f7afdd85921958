# Draws a figure, and writes beside its table what a page needs to tell the values under a pointer.
# Usage: gnuplot -c readout.gp FOLDER/NAME.tsv FIGURE.svg, which runs NAME.gp and writes
# FOLDER/NAME.axes, a line each of
#
#   size WIDTH HEIGHT            of the figure, in the units of `plot`
#   plot LEFT RIGHT BOTTOM TOP   the axes' ends, counted from the figure's lower left corner
#   x FROM TO, y FROM TO         the axes' values there
#   readout KEY=VALUE ...        what NAME.gp has set `readout` to: how the table's rows lie in it
#   series RRGGBB NAME           what style.gp has found
#
# The keys: x, y: the columns where a row is, "#" for its number from 1; without one of them it lies
# all along that axis. rank: the axes, "x", "y" or "xy", where not the value counts but its place among
# all, from 1. log: those that are logarithmic. wide: the column of how far a row reaches in x. name:
# the column by which it is called. each: instead of x and y, every series NAME has its own point, at
# NAME:EACH and NAME. panel: how far apart in y the series' panels are, stacked from the top; panels:
# the series that have one, separated by commas.
axes_table = ARG1
axes_name = ARG1
while (strstrt(axes_name, "/") > 0) {
  axes_name = axes_name[strstrt(axes_name, "/") + 1 :]
}
axes_name = axes_name[1 : strlen(axes_name) - strlen(".tsv")]
axes_folder = ARG0[1 : strlen(ARG0) - strlen("readout.gp")]
readout = ""
call axes_folder . axes_name . ".gp" ARG1 ARG2
unset output

set print axes_table[1 : strlen(axes_table) - strlen("tsv")] . "axes"
print sprintf("size %.9g %.9g", 1.0 * GPVAL_TERM_XSIZE / GPVAL_TERM_SCALE, \
              1.0 * GPVAL_TERM_YSIZE / GPVAL_TERM_SCALE)
print sprintf("plot %.9g %.9g %.9g %.9g", GPVAL_TERM_XMIN, GPVAL_TERM_XMAX, GPVAL_TERM_YMIN, \
              GPVAL_TERM_YMAX)
print sprintf("x %.9g %.9g", GPVAL_X_MIN, GPVAL_X_MAX)
print sprintf("y %.9g %.9g", GPVAL_Y_MIN, GPVAL_Y_MAX)
print "readout ", readout
do for [i = 1 : n] {
  print sprintf("series %06X %s", colour[i], label[i])
}
unset print
