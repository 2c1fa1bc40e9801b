/* Frames of application/vnd.amazon.eventstream, in which a streamed answer travels to clients of the Lambda API. Pure.
 *
 *   u32 length of all   u32 length of the headers   u32 CRC-32 of these eight bytes
 *   headers: u8 length, name, u8 7 (text), u16 length, value
 *   payload   u32 CRC-32 of all before                                           (numbers in network order) */
#ifndef SCHEDULER_EVENTSTREAM_H
#define SCHEDULER_EVENTSTREAM_H

#include <stddef.h>
#include <stdint.h>

#define EVENTSTREAM_MEDIA    "application/vnd.amazon.eventstream"
#define EVENTSTREAM_OVERHEAD 128u /* of a frame beside its payload, at most */

/* The frame of an event into buf; returns its length, or -ENOBUFS. type is of at most 32 characters. */
long eventstream_encode(uint8_t *buf, size_t cap, const char *type, const void *payload, size_t len);
/* IEEE 802.3, continued from crc (0 at the start). */
uint32_t eventstream_crc(uint32_t crc, const void *data, size_t len);

#endif
