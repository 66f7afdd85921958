/* experiments/wrap.h - help texts in lines that fit a terminal. */
#ifndef MB_EXPERIMENTS_WRAP_H
#define MB_EXPERIMENTS_WRAP_H

#include <stddef.h>
#include <stdio.h>

/** Columns that a line has at most; only a single word that is longer goes beyond. */
enum { MB_WRAP_WIDTH = 100 };

/**
 * Prints a text and ends the line, with breaks between words where it does not fit.
 * @param column where the text starts: what stands in its first line already.
 * @param indent where its other lines start.
 */
void mb_wrap_print(FILE *stream, size_t column, size_t indent, const char *text);

#endif
