/* experiments/wrap.c */
#include "experiments/wrap.h"

#include <string.h>

void mb_wrap_print(FILE *stream, size_t column, size_t indent, const char *text) {
  const char *space = "";

  for (const char *word = text; *word != '\0';) {
    size_t length = strcspn(word, " ");
    size_t end = column + strlen(space) + length;
    if (end > MB_WRAP_WIDTH && space[0] != '\0') {
      (void)fprintf(stream, "\n%*s%.*s", (int)indent, "", (int)length, word);
      column = indent + length;
    } else {
      (void)fprintf(stream, "%s%.*s", space, (int)length, word);
      column = end;
    }
    space = " ";
    word += length;
    word += strspn(word, " ");
  }
  (void)fputc('\n', stream);
}
