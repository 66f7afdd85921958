/* experiments/attribute.c */
#include "experiments/attribute.h"

#include <stdio.h>
#include <string.h>

typedef struct reason {
  char *buffer;
  size_t size;
} reason;

/* The innermost error comes first; HDF5's file driver quotes the system's message within it. */
static herr_t find_reason(unsigned n, const H5E_error2_t *error, void *context) {
  static const char mark[] = "error message = '";
  const reason *found = context;
  const char *system = strstr(error->desc, mark);

  if (system != NULL) {
    system += sizeof mark - 1;
    (void)snprintf(found->buffer, found->size, "%.*s", (int)strcspn(system, "'"), system);
    return 1;
  }
  if (n == 0) {
    (void)snprintf(found->buffer, found->size, "HDF5: %s", error->desc);
  }
  return 0;
}

char *mb_hdf5_reason(char *buffer, size_t size) {
  reason found = {.buffer = buffer, .size = size};

  (void)snprintf(buffer, size, "HDF5 gives no reason");
  (void)H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, find_reason, &found);
  return buffer;
}

/* Creates and writes; `type` and `space` are taken over. */
static mb_status put(hid_t object, const char *name, hid_t type, hid_t space, const void *values) {
  char why[256];
  hid_t attribute = H5Acreate2(object, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
  mb_status status = MB_OK;

  if (attribute < 0 || H5Awrite(attribute, type, values) < 0) {
    status = MB_FAIL(MB_ERR_IO, "attribute %s cannot be written: %s", name,
                     mb_hdf5_reason(why, sizeof why));
  }
  if (attribute >= 0) {
    (void)H5Aclose(attribute);
  }
  (void)H5Sclose(space);
  (void)H5Tclose(type);
  return status;
}

static hid_t list_space(size_t n) {
  hsize_t size = n;

  return H5Screate_simple(1, &size, NULL);
}

static hid_t text_type(void) {
  hid_t type = H5Tcopy(H5T_C_S1);

  (void)H5Tset_size(type, H5T_VARIABLE);
  (void)H5Tset_cset(type, H5T_CSET_UTF8);
  return type;
}

mb_status mb_attribute_put_text(hid_t object, const char *name, const char *text) {
  return put(object, name, text_type(), H5Screate(H5S_SCALAR), &text);
}

mb_status mb_attribute_put_texts(hid_t object, const char *name, size_t n,
                                 const char *const *texts) {
  return put(object, name, text_type(), list_space(n), texts);
}

mb_status mb_attribute_put_int(hid_t object, const char *name, int64_t value) {
  return put(object, name, H5Tcopy(H5T_NATIVE_INT64), H5Screate(H5S_SCALAR), &value);
}

mb_status mb_attribute_put_real(hid_t object, const char *name, double value) {
  return put(object, name, H5Tcopy(H5T_NATIVE_DOUBLE), H5Screate(H5S_SCALAR), &value);
}

mb_status mb_attribute_put_int32s(hid_t object, const char *name, size_t n, const int32_t *values) {
  return put(object, name, H5Tcopy(H5T_NATIVE_INT32), list_space(n), values);
}
