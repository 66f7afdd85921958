/* experiments/attribute.h - HDF5 attributes of results files, and why HDF5 could not write. */
#ifndef MB_EXPERIMENTS_ATTRIBUTE_H
#define MB_EXPERIMENTS_ATTRIBUTE_H

#include <hdf5.h>
#include <stddef.h>
#include <stdint.h>

#include "balancer/status.h"

/**
 * New attributes of an open object. Texts are UTF-8 of variable length, which h5py reads as str.
 * @return MB_OK; MB_ERR_IO with what HDF5 says.
 */
MB_NODISCARD mb_status mb_attribute_put_text(hid_t object, const char *name, const char *text);
MB_NODISCARD mb_status mb_attribute_put_texts(hid_t object, const char *name, size_t n,
                                              const char *const *texts); /* [n], n >= 1 */
MB_NODISCARD mb_status mb_attribute_put_int(hid_t object, const char *name, int64_t value);
MB_NODISCARD mb_status mb_attribute_put_real(hid_t object, const char *name, double value);
MB_NODISCARD mb_status mb_attribute_put_int32s(hid_t object, const char *name, size_t n,
                                               const int32_t *values); /* [n], n >= 1 */

/**
 * Why the last HDF5 call on this thread failed, as the operating system put it where it was asked
 * ("No space left on device"), else as HDF5 does.
 * @param buffer [size] caller-owned. @return `buffer`.
 */
char *mb_hdf5_reason(char *buffer, size_t size);

#endif
