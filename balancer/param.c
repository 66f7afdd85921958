/* balancer/param.c */
#include "balancer/param.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The longest key that a slip is looked for in; longer ones have no nearest key. */
enum { KEY_SIZE = 64 };

/* Doubles hold every whole number up to this one. */
static const double EXACT_MAX = 9007199254740992.0;

const mb_param *mb_param_find(const mb_param *table, const char *key) {
  for (const mb_param *param = table; param != NULL && param->key != NULL; param++) {
    if (strcmp(param->key, key) == 0) {
      return param;
    }
  }
  return NULL;
}

static size_t min_size(size_t a, size_t b) {
  return a < b ? a : b;
}

/* Of ASCII, whatever the locale. */
static int lower(char c) {
  return c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c;
}

/* Levenshtein's distance, capitals or not, one row at a time; SIZE_MAX where a text is longer than
 * KEY_SIZE - 1. */
static size_t edit_distance(const char *a, const char *b) {
  size_t row[KEY_SIZE];
  size_t n = strlen(b);

  if (n >= KEY_SIZE || strlen(a) >= KEY_SIZE) {
    return SIZE_MAX;
  }
  for (size_t j = 0; j <= n; j++) {
    row[j] = j;
  }
  for (size_t i = 0; a[i] != '\0'; i++) {
    size_t diagonal = row[0];
    row[0] = i + 1;
    for (size_t j = 0; j < n; j++) {
      size_t replaced = diagonal + (lower(a[i]) == lower(b[j]) ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = min_size(replaced, 1 + min_size(row[j], row[j + 1]));
    }
  }
  return row[n];
}

const char *mb_param_nearest(const mb_param *table, const char *key) {
  const char *nearest = NULL;
  size_t length = strlen(key);
  /* A slip keeps at least one character, or any two short keys would be each other's. */
  size_t fewest = min_size(3, length);

  for (const mb_param *param = table; param != NULL && param->key != NULL; param++) {
    size_t edits = edit_distance(key, param->key);
    if (edits < fewest) {
      fewest = edits;
      nearest = param->key;
    }
  }
  for (const mb_param *param = table; nearest == NULL && param != NULL && param->key != NULL;
       param++) {
    if (length > 0 && strncmp(key, param->key, length) == 0) {
      nearest = param->key;
    }
  }
  return nearest;
}

/* Numbers are read and written in the C locale, whatever the program's own is. */
static locale_t c_locale_enter(locale_t *previous) {
  locale_t c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);

  *previous = c_locale != (locale_t)0 ? uselocale(c_locale) : (locale_t)0;
  return c_locale;
}

static void c_locale_leave(locale_t c_locale, locale_t previous) {
  if (c_locale != (locale_t)0) {
    (void)uselocale(previous);
    freelocale(c_locale);
  }
}

/* A decimal number and nothing else: no spaces, no hexadecimal, no "inf" or "nan". */
static bool parse_real(const char *text, double *value) {
  locale_t previous;
  char *end;

  if (text[0] == '\0' || text[strspn(text, "+-.0123456789eE")] != '\0') {
    return false;
  }
  locale_t c_locale = c_locale_enter(&previous);
  *value = strtod(text, &end);
  c_locale_leave(c_locale, previous);
  return *end == '\0' && end != text;
}

/* Digits, or a number like 1e6 whose value is whole and exact. */
static bool parse_int(const char *text, int64_t *value) {
  double real;
  char *end;

  if (text[0] == '\0' || text[strspn(text, "+-.0123456789eE")] != '\0') {
    return false;
  }
  errno = 0;
  long long whole = strtoll(text, &end, 10);
  if (*end == '\0' && end != text) {
    *value = whole;
    return errno == 0;
  }
  if (!parse_real(text, &real) || !(fabs(real) <= EXACT_MAX) || real != trunc(real)) {
    return false;
  }
  *value = (int64_t)real;
  return true;
}

static mb_status set_int(const mb_param *param, const char *text, void *place) {
  int64_t value;

  if (param->word != NULL && strcmp(text, param->word) == 0) {
    memcpy(place, &param->word_value, sizeof param->word_value);
    return MB_OK;
  }
  if (!parse_int(text, &value) || (double)value < param->min || (double)value > param->max) {
    return MB_FAIL(MB_ERR_PARAM,
                   "%s is '%.64s', but has to be a whole number from %.0f to %.0f%s%s", param->key,
                   text, param->min, param->max, param->word != NULL ? ", or " : "",
                   param->word != NULL ? param->word : "");
  }
  memcpy(place, &value, sizeof value);
  return MB_OK;
}

static mb_status set_real(const mb_param *param, const char *text, void *place) {
  double value;

  if (!parse_real(text, &value) || !isfinite(value) || value < param->min || value > param->max) {
    return MB_FAIL(MB_ERR_PARAM, "%s is '%.64s', but has to be a number from %.15g to %.15g",
                   param->key, text, param->min, param->max);
  }
  memcpy(place, &value, sizeof value);
  return MB_OK;
}

static mb_status set_bool(const mb_param *param, const char *text, void *place) {
  bool value = strcmp(text, "true") == 0;

  if (!value && strcmp(text, "false") != 0) {
    return MB_FAIL(MB_ERR_PARAM, "%s is '%.64s', but has to be true or false", param->key, text);
  }
  memcpy(place, &value, sizeof value);
  return MB_OK;
}

/* "a, b, c", cut off where the buffer ends. */
static void append_name(char *buffer, size_t size, const char *name) {
  size_t used = strlen(buffer);

  (void)snprintf(buffer + used, size - used, "%s%s", used > 0 ? ", " : "", name);
}

static mb_status set_text(const mb_param *param, const char *text, void *place) {
  char known[512] = "";
  size_t length = strlen(text);

  if (length >= MB_PARAM_TEXT_SIZE) {
    return MB_FAIL(MB_ERR_PARAM, "%s has %zu bytes, but at most %d are allowed", param->key, length,
                   MB_PARAM_TEXT_SIZE - 1);
  }
  bool found = param->choices == NULL;
  for (size_t i = 0; param->choices != NULL && param->choices[i] != NULL; i++) {
    found = found || strcmp(param->choices[i], text) == 0;
    append_name(known, sizeof known, param->choices[i]);
  }
  if (!found) {
    return MB_FAIL(MB_ERR_PARAM, "%s is '%.64s', but has to be one of: %s", param->key, text,
                   known);
  }
  /* To the end, so that equal values are equal bytes. */
  memset(place, 0, MB_PARAM_TEXT_SIZE);
  memcpy(place, text, length);
  return MB_OK;
}

static mb_status fail_unknown(const mb_param *table, const char *key) {
  char known[512] = "";
  const char *nearest = mb_param_nearest(table, key);

  if (nearest != NULL) {
    return MB_FAIL(MB_ERR_PARAM, "unknown parameter '%.64s'; did you mean '%s'?", key, nearest);
  }
  for (const mb_param *param = table; param != NULL && param->key != NULL; param++) {
    append_name(known, sizeof known, param->key);
  }
  return MB_FAIL(MB_ERR_PARAM, "unknown parameter '%.64s'; known: %s", key,
                 known[0] != '\0' ? known : "none");
}

static mb_status set_value(const mb_param *param, const char *text, void *place) {
  switch (param->type) {
  case MB_PARAM_INT:
    return set_int(param, text, place);
  case MB_PARAM_REAL:
    return set_real(param, text, place);
  case MB_PARAM_BOOL:
    return set_bool(param, text, place);
  case MB_PARAM_TEXT:
    return set_text(param, text, place);
  }
  assert(false && "a parameter of a type that there is not");
  return MB_ERR_PARAM;
}

mb_status mb_params_set(const mb_param *table, const char *key, const char *text, void *values) {
  const mb_param *param = mb_param_find(table, key);

  if (param == NULL) {
    return fail_unknown(table, key);
  }
  return set_value(param, text, (char *)values + param->offset);
}

static size_t value_size(mb_param_type type) {
  switch (type) {
  case MB_PARAM_INT:
    return sizeof(int64_t);
  case MB_PARAM_REAL:
    return sizeof(double);
  case MB_PARAM_BOOL:
    return sizeof(bool);
  case MB_PARAM_TEXT:
    return MB_PARAM_TEXT_SIZE;
  }
  return 0;
}

void mb_params_init(const mb_param *table, void *values) {
  for (const mb_param *param = table; param != NULL && param->key != NULL; param++) {
    char *place = (char *)values + param->offset;
    memset(place, 0, value_size(param->type));
    if (param->initial != NULL) {
      mb_status status = set_value(param, param->initial, place);
      assert(status == MB_OK);
      (void)status;
    }
  }
}

/* The fewest digits that read back to the same bits. */
static void format_real(double value, char *buffer, size_t size) {
  locale_t previous;
  locale_t c_locale = c_locale_enter(&previous);

  for (int digits = 15; digits <= 17; digits++) {
    (void)snprintf(buffer, size, "%.*g", digits, value);
    if (strtod(buffer, NULL) == value) {
      break;
    }
  }
  c_locale_leave(c_locale, previous);
}

char *mb_param_format(const mb_param *param, const void *values, char *buffer, size_t size) {
  const char *place = (const char *)values + param->offset;
  int64_t whole;
  double real;
  bool flag;

  switch (param->type) {
  case MB_PARAM_INT:
    memcpy(&whole, place, sizeof whole);
    if (param->word != NULL && whole == param->word_value) {
      (void)snprintf(buffer, size, "%s", param->word);
    } else {
      (void)snprintf(buffer, size, "%" PRId64, whole);
    }
    break;
  case MB_PARAM_REAL:
    memcpy(&real, place, sizeof real);
    format_real(real, buffer, size);
    break;
  case MB_PARAM_BOOL:
    memcpy(&flag, place, sizeof flag);
    (void)snprintf(buffer, size, "%s", flag ? "true" : "false");
    break;
  case MB_PARAM_TEXT:
    (void)snprintf(buffer, size, "%s", place);
    break;
  }
  return buffer;
}
