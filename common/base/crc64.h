/* CRC-64/XZ (ECMA-182 reflected), slice-by-8. Start with 0; feed the result back in to go on. */
#ifndef COMMON_BASE_CRC64_H
#define COMMON_BASE_CRC64_H

#include <stddef.h>
#include <stdint.h>

/* Thread-safe. Known answer: stk_crc64(0, "123456789", 9) == 0x995dc9bbdf1939fa. */
uint64_t stk_crc64(uint64_t crc, const void *data, size_t len);

#endif
