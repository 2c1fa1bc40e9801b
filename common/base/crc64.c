/* CRC-64/XZ: see crc64.h. The tables are constants: a process that checks one small file at its
 * start does not spend longer on making them than on the file. */
#include "common/base/crc64.h"

#include <string.h>

#define POLY    0xc96c5795d7870f42ULL
#define STEP(c) (((c) >> 1) ^ (POLY & (0 - ((c)&1))))

/* Pn: the polynomial moved on by n bits. */
enum {
	P0 = POLY, P1 = STEP(P0), P2 = STEP(P1), P3 = STEP(P2), P4 = STEP(P3), P5 = STEP(P4),
	P6 = STEP(P5), P7 = STEP(P6), P8 = STEP(P7), P9 = STEP(P8), P10 = STEP(P9), P11 = STEP(P10),
	P12 = STEP(P11), P13 = STEP(P12), P14 = STEP(P13), P15 = STEP(P14), P16 = STEP(P15),
	P17 = STEP(P16), P18 = STEP(P17), P19 = STEP(P18), P20 = STEP(P19), P21 = STEP(P20),
	P22 = STEP(P21), P23 = STEP(P22), P24 = STEP(P23), P25 = STEP(P24), P26 = STEP(P25),
	P27 = STEP(P26), P28 = STEP(P27), P29 = STEP(P28), P30 = STEP(P29), P31 = STEP(P30),
	P32 = STEP(P31), P33 = STEP(P32), P34 = STEP(P33), P35 = STEP(P34), P36 = STEP(P35),
	P37 = STEP(P36), P38 = STEP(P37), P39 = STEP(P38), P40 = STEP(P39), P41 = STEP(P40),
	P42 = STEP(P41), P43 = STEP(P42), P44 = STEP(P43), P45 = STEP(P44), P46 = STEP(P45),
	P47 = STEP(P46), P48 = STEP(P47), P49 = STEP(P48), P50 = STEP(P49), P51 = STEP(P50),
	P52 = STEP(P51), P53 = STEP(P52), P54 = STEP(P53), P55 = STEP(P54), P56 = STEP(P55),
	P57 = STEP(P56), P58 = STEP(P57), P59 = STEP(P58), P60 = STEP(P59), P61 = STEP(P60),
	P62 = STEP(P61), P63 = STEP(P62),
};

/* The CRC is linear: a table entry is the sum of the entries of its index's bits. Bit b of the
 * byte that lies t bytes back has moved on by 8 t + 7 - b bits. */
#define ENTRY(i, b0, b1, b2, b3, b4, b5, b6, b7)                                                     \
	(((i)&1 ? b0 : 0ULL) ^ ((i)&2 ? b1 : 0ULL) ^ ((i)&4 ? b2 : 0ULL) ^ ((i)&8 ? b3 : 0ULL) ^       \
	 ((i)&16 ? b4 : 0ULL) ^ ((i)&32 ? b5 : 0ULL) ^ ((i)&64 ? b6 : 0ULL) ^ ((i)&128 ? b7 : 0ULL))
#define E4(i, ...)  ENTRY(i, __VA_ARGS__), ENTRY(i + 1, __VA_ARGS__), ENTRY(i + 2, __VA_ARGS__), ENTRY(i + 3, __VA_ARGS__)
#define E16(i, ...) E4(i, __VA_ARGS__), E4(i + 4, __VA_ARGS__), E4(i + 8, __VA_ARGS__), E4(i + 12, __VA_ARGS__)
#define E64(i, ...) E16(i, __VA_ARGS__), E16(i + 16, __VA_ARGS__), E16(i + 32, __VA_ARGS__), E16(i + 48, __VA_ARGS__)
#define ROW(...)    {E64(0, __VA_ARGS__), E64(64, __VA_ARGS__), E64(128, __VA_ARGS__), E64(192, __VA_ARGS__)}

static const uint64_t table[8][256] = {
	ROW(P7, P6, P5, P4, P3, P2, P1, P0),
	ROW(P15, P14, P13, P12, P11, P10, P9, P8),
	ROW(P23, P22, P21, P20, P19, P18, P17, P16),
	ROW(P31, P30, P29, P28, P27, P26, P25, P24),
	ROW(P39, P38, P37, P36, P35, P34, P33, P32),
	ROW(P47, P46, P45, P44, P43, P42, P41, P40),
	ROW(P55, P54, P53, P52, P51, P50, P49, P48),
	ROW(P63, P62, P61, P60, P59, P58, P57, P56),
};

uint64_t stk_crc64(uint64_t crc, const void *data, size_t len)
{
	const uint8_t *p = data;

	crc = ~crc;
	while (len >= 8) {
		uint64_t v;

		memcpy(&v, p, 8); /* little-endian machines only, as all of Stoker */
		v ^= crc;
		crc = table[7][v & 0xff] ^ table[6][(v >> 8) & 0xff] ^ table[5][(v >> 16) & 0xff] ^
		      table[4][(v >> 24) & 0xff] ^ table[3][(v >> 32) & 0xff] ^
		      table[2][(v >> 40) & 0xff] ^ table[1][(v >> 48) & 0xff] ^ table[0][v >> 56];
		p += 8;
		len -= 8;
	}
	while (len--)
		crc = table[0][(crc ^ *p++) & 0xff] ^ (crc >> 8);
	return ~crc;
}
