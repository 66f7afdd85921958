/* workloads/npy_header.c - after numpy.lib.format: magic, version, and the literal of a Python
 * dict, of which only what numpy writes is taken. */
#include "workloads/npy_header.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* numpy itself reads no more than 10,000 bytes of a header that it does not trust. */
enum { HEADER_BYTES_MAX = 1 << 16, TEXT_MAX = 64 };

typedef struct cursor {
  const char *what; /* the array, for messages */
  const char *begin, *at, *end;
} cursor;

/* What the header said so far. */
typedef struct parts {
  bool has_descr, has_order, has_shape;
  mb_npy_header *header;
} parts;

void mb_npy_bytes_destroy(mb_npy_bytes *bytes) {
  if (bytes->destroy != NULL) {
    bytes->destroy(bytes->state);
  }
  *bytes = (mb_npy_bytes){0};
}

static mb_status fail_syntax(const cursor *in, const char *expected) {
  return MB_FAIL(MB_ERR_FORMAT,
                 "%s: its header is no numpy header: at character %zu of \"%.*s\" there should be "
                 "%s",
                 in->what, (size_t)(in->at - in->begin),
                 (int)(in->end - in->begin > 120 ? 120 : in->end - in->begin), in->begin, expected);
}

static void skip_space(cursor *in) {
  while (in->at < in->end && (*in->at == ' ' || *in->at == '\n' || *in->at == '\t')) {
    in->at++;
  }
}

/* Whether the next character, after spaces, is that one; then it is passed. */
static bool pass(cursor *in, char wanted) {
  skip_space(in);
  if (in->at < in->end && *in->at == wanted) {
    in->at++;
    return true;
  }
  return false;
}

static mb_status parse_text(cursor *in, const char *expected, char text[TEXT_MAX]) {
  size_t n = 0;

  skip_space(in);
  if (in->at == in->end || (*in->at != '\'' && *in->at != '"')) {
    return fail_syntax(in, expected);
  }
  char quote = *in->at++;
  while (in->at < in->end && *in->at != quote) {
    if (*in->at == '\\' || *in->at == '\0' || n == TEXT_MAX - 1) {
      return fail_syntax(in, expected);
    }
    text[n++] = *in->at++;
  }
  if (in->at == in->end) {
    return fail_syntax(in, "a closing quotation mark");
  }
  in->at++;
  text[n] = '\0';
  return MB_OK;
}

static bool is_digit(const cursor *in) {
  return in->at < in->end && *in->at >= '0' && *in->at <= '9';
}

static mb_status parse_size(cursor *in, uint64_t *size) {
  uint64_t value = 0;

  if (!is_digit(in)) {
    return fail_syntax(in, "a size, as in (10, 58, 256)");
  }
  for (; is_digit(in); in->at++) {
    if (value > (UINT64_MAX >> 1) / 10 - 1) {
      return fail_syntax(in, "a size below 2^63");
    }
    value = value * 10 + (uint64_t)(*in->at - '0');
  }
  if (in->at < in->end && *in->at == 'L') { /* as Python 2 wrote it */
    in->at++;
  }
  *size = value;
  return MB_OK;
}

/* A tuple: "()", "(3,)", "(3, 4)". */
static mb_status parse_shape(cursor *in, mb_npy_header *header) {
  bool comma = true;

  if (!pass(in, '(')) {
    return fail_syntax(in, "a shape, as in (10, 58, 256)");
  }
  header->rank = 0;
  while (!pass(in, ')')) {
    if (!comma) {
      return fail_syntax(in, "a comma or the shape's end");
    }
    if (header->rank == MB_ARRAY_RANK_MAX) {
      return MB_FAIL(MB_ERR_FORMAT, "%s: has more than %d dimensions", in->what, MB_ARRAY_RANK_MAX);
    }
    MB_TRY(parse_size(in, &header->dims[header->rank++]));
    comma = pass(in, ',');
  }
  /* "(3)" is no tuple. */
  return header->rank != 1 || comma ? MB_OK : fail_syntax(in, "a shape of one size, as in (10,)");
}

static mb_status parse_order(cursor *in, bool *fortran) {
  static const char yes[] = "True";
  static const char no[] = "False";

  skip_space(in);
  size_t left = (size_t)(in->end - in->at);
  *fortran = left >= sizeof yes - 1 && memcmp(in->at, yes, sizeof yes - 1) == 0;
  if (!*fortran && (left < sizeof no - 1 || memcmp(in->at, no, sizeof no - 1) != 0)) {
    return fail_syntax(in, "True or False");
  }
  in->at += *fortran ? sizeof yes - 1 : sizeof no - 1;
  return MB_OK;
}

static mb_status fail_dtype(const char *what, const char *descr, const char *why) {
  return MB_FAIL(MB_ERR_UNSUPPORTED,
                 "%s: its dtype '%s' is %s; it should be integers, bool, or floats of 16 to 64 "
                 "bits, as .astype('uint32') makes them",
                 what, descr, why);
}

static const char *kind_name(char kind) {
  switch (kind) {
  case 'O':
    return "pickled Python objects, which are never read";
  case 'c':
    return "complex numbers";
  case 'V':
    return "raw bytes, perhaps a type that numpy has no name for";
  case 'M':
  case 'm':
    return "dates or times";
  default:
    return "unknown here";
  }
}

static bool find_dtype(char kind, uint64_t size, mb_dtype *dtype) {
  static const struct {
    size_t size;
    mb_dtype dtype;
    char kind;
  } known[] = {
      {1, MB_DTYPE_BOOL, 'b'}, {1, MB_DTYPE_U8, 'u'},  {1, MB_DTYPE_I8, 'i'},
      {2, MB_DTYPE_U16, 'u'},  {2, MB_DTYPE_I16, 'i'}, {4, MB_DTYPE_U32, 'u'},
      {4, MB_DTYPE_I32, 'i'},  {8, MB_DTYPE_U64, 'u'}, {8, MB_DTYPE_I64, 'i'},
      {2, MB_DTYPE_F16, 'f'},  {4, MB_DTYPE_F32, 'f'}, {8, MB_DTYPE_F64, 'f'},
  };

  for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
    if (known[i].kind == kind && known[i].size == size) {
      *dtype = known[i].dtype;
      return true;
    }
  }
  return false;
}

/* "<i4": byte order, kind, bytes of an element (characters of a text). */
static mb_status take_descr(const char *what, const char *descr, mb_npy_header *header) {
  char order = descr[0];
  char kind = descr[order != '\0' ? 1 : 0];
  const char *digits = descr + strnlen(descr, 2);
  size_t n_digits = strspn(digits, "0123456789");
  uint64_t size = 0;

  if ((order != '<' && order != '>' && order != '|') || digits[n_digits] != '\0' || n_digits > 9) {
    return fail_dtype(what, descr, kind_name('\0'));
  }
  for (size_t i = 0; i < n_digits; i++) {
    size = size * 10 + (uint64_t)(digits[i] - '0');
  }
  header->big_endian = order == '>';
  header->is_utf32 = kind == 'U';
  header->is_text = header->is_utf32 || kind == 'S';
  header->item_size = (size_t)size * (header->is_utf32 ? 4 : 1);
  if (header->is_text) {
    return n_digits > 0 ? MB_OK : fail_dtype(what, descr, kind_name('\0'));
  }
  if (!find_dtype(kind, size, &header->dtype) || (order == '|' && size > 1)) {
    return fail_dtype(what, descr, kind_name(kind));
  }
  return MB_OK;
}

static mb_status parse_descr(cursor *in, mb_npy_header *header) {
  char descr[TEXT_MAX] = "";

  skip_space(in);
  if (in->at < in->end && (*in->at == '[' || *in->at == '(')) {
    return fail_dtype(in->what, "[...]", "a structure of several fields");
  }
  MB_TRY(parse_text(in, "a dtype, as in '<i4'", descr));
  return take_descr(in->what, descr, header);
}

static mb_status parse_item(cursor *in, parts *found) {
  char key[TEXT_MAX];

  MB_TRY(parse_text(in, "'descr', 'fortran_order' or 'shape'", key));
  bool *has = strcmp(key, "descr") == 0           ? &found->has_descr
              : strcmp(key, "fortran_order") == 0 ? &found->has_order
              : strcmp(key, "shape") == 0         ? &found->has_shape
                                                  : NULL;
  if (has == NULL || *has) {
    return fail_syntax(in, "'descr', 'fortran_order' and 'shape', each once, before this");
  }
  if (!pass(in, ':')) {
    return fail_syntax(in, "a colon");
  }
  *has = true;
  return has == &found->has_descr   ? parse_descr(in, found->header)
         : has == &found->has_order ? parse_order(in, &found->header->fortran)
                                    : parse_shape(in, found->header);
}

static mb_status parse_dict(cursor *in, mb_npy_header *header) {
  parts found = {.header = header};
  bool comma = true;

  if (!pass(in, '{')) {
    return fail_syntax(in, "an opening brace");
  }
  while (!pass(in, '}')) {
    if (!comma) {
      return fail_syntax(in, "a comma or the closing brace");
    }
    MB_TRY(parse_item(in, &found));
    comma = pass(in, ',');
  }
  skip_space(in);
  if (in->at != in->end) {
    return fail_syntax(in, "nothing more");
  }
  if (!found.has_descr || !found.has_order || !found.has_shape) {
    return MB_FAIL(MB_ERR_FORMAT, "%s: its header lacks '%s'", in->what,
                   !found.has_descr   ? "descr"
                   : !found.has_order ? "fortran_order"
                                      : "shape");
  }
  return MB_OK;
}

/* Elements and bytes of the array, which the bytes there are have to bear out. */
static mb_status check_size(const char *what, uint64_t size, mb_npy_header *header) {
  uint64_t n = 1;
  uint64_t most = (UINT64_MAX >> 1) / (header->item_size > 0 ? header->item_size : 1);

  for (size_t d = 0; d < header->rank; d++) {
    if (header->dims[d] > 0 && n > most / header->dims[d]) {
      return MB_FAIL(MB_ERR_FORMAT, "%s: its shape has more than 2^63 bytes", what);
    }
    n *= header->dims[d];
  }
  header->n_items = n;
  uint64_t wanted = n * header->item_size;
  uint64_t there = size - header->data_offset;
  if (there != wanted) {
    return MB_FAIL(MB_ERR_FORMAT,
                   "%s: its header tells of %" PRIu64 " bytes of data, but there are %" PRIu64
                   ": %s",
                   what, wanted, there,
                   there < wanted ? "it was cut off, or is damaged"
                                  : "something follows the array, which should be alone");
  }
  return MB_OK;
}

/* Versions 2 and 3 have four bytes for the header's length. */
static mb_status read_prefix(const char *what, const mb_npy_bytes *bytes, uint64_t *begin,
                             uint64_t *length) {
  static const unsigned char magic[6] = "\x93NUMPY";
  unsigned char prefix[12];

  if (bytes->size < 10) {
    return MB_FAIL(MB_ERR_FORMAT, "%s: has %" PRIu64 " bytes: too few for a numpy array", what,
                   bytes->size);
  }
  MB_TRY(bytes->read(bytes->state, what, 0, 10, prefix));
  if (memcmp(prefix, magic, sizeof magic) != 0) {
    return MB_FAIL(MB_ERR_FORMAT, "%s: is no numpy array: it does not begin with \\x93NUMPY", what);
  }
  if (prefix[6] < 1 || prefix[6] > 3 || prefix[7] != 0) {
    return MB_FAIL(MB_ERR_UNSUPPORTED,
                   "%s: is of version %d.%d of numpy's format; 1.0, 2.0 and 3.0 can be read", what,
                   prefix[6], prefix[7]);
  }
  *begin = prefix[6] == 1 ? 10 : 12;
  *length = (uint64_t)prefix[8] | (uint64_t)prefix[9] << 8;
  if (prefix[6] > 1) {
    if (bytes->size < 12) {
      return MB_FAIL(MB_ERR_FORMAT, "%s: ends within its header", what);
    }
    MB_TRY(bytes->read(bytes->state, what, 10, 2, prefix + 10));
    *length |= (uint64_t)prefix[10] << 16 | (uint64_t)prefix[11] << 24;
  }
  if (*length > bytes->size - *begin) {
    return MB_FAIL(MB_ERR_FORMAT,
                   "%s: ends after %" PRIu64 " bytes, within its header: it was cut off", what,
                   bytes->size);
  }
  return MB_OK;
}

mb_status mb_npy_header_read(const char *what, const mb_npy_bytes *bytes, mb_npy_header *header) {
  mb_npy_header made = {0};
  uint64_t begin = 0;
  uint64_t length = 0;

  MB_TRY(read_prefix(what, bytes, &begin, &length));
  if (length > HEADER_BYTES_MAX) {
    return MB_FAIL(MB_ERR_FORMAT,
                   "%s: its header has %" PRIu64 " bytes, which no array of numbers needs", what,
                   length);
  }
  char *text = malloc((size_t)length + 1);
  if (text == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "no memory for the header of %s", what);
  }
  mb_status status = bytes->read(bytes->state, what, begin, (size_t)length, text);
  if (status == MB_OK) {
    cursor in = {.what = what, .begin = text, .at = text, .end = text + length};
    status = parse_dict(&in, &made);
  }
  free(text);
  MB_TRY(status);
  made.data_offset = begin + length;
  MB_TRY(check_size(what, bytes->size, &made));
  *header = made;
  return MB_OK;
}
