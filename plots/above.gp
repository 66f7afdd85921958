# A second axis above the plot, of something that is in proportion to x, and room for it. Loaded after
# style.gp by figures that set above_name (its label) and above_per_x, and then add its x2tics; curves.gp
# sets its range.
set tmargin at screen down(legend_height + 0.34)
set border 7
set label 4 above_name center at graph 0.5, screen down(legend_height + 0.08)
set x2tics out scale 0.5 ()
set x2tics offset 0,-0.3 - 0.4 * tic_shift
array above_tick[256]
n_above = 0
