/* SPDX-License-Identifier: MIT
 *
 * CRC-32C (Castagnoli, reflected, as in iSCSI and ext4).  Any thread. */
#ifndef QMN_STORE_CRC32C_H
#define QMN_STORE_CRC32C_H

#include <stdint.h>

#include "base/bytes.h"

/* Goes on from `crc`; start with 0. */
uint32_t crc32c(uint32_t crc, struct bytes data);
/* The portable reference the fast one is tested against. */
uint32_t crc32c_table(uint32_t crc, struct bytes data);

#endif
