/* experiments/report_html.h - text from files, written into a page so that it stays text. */
#ifndef MB_EXPERIMENTS_REPORT_HTML_H
#define MB_EXPERIMENTS_REPORT_HTML_H

#include <stdio.h>

/* Bytes that are no UTF-8 and control characters, but for newlines and tabs, become U+FFFD. What
 * goes wrong in writing, ferror() tells. */

/** Text of an element or of a quoted attribute. */
void mb_html_put_text(FILE *page, const char *text);

/** Text of an element, where what `is quoted so` becomes <code>. */
void mb_html_put_prose(FILE *page, const char *text);

/** A JSON string with its quotes, for a script element: it cannot end that element. */
void mb_html_put_json(FILE *page, const char *text);

#endif
