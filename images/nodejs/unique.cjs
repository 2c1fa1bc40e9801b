'use strict';
// All clones of a function continue from the same memory. Random generators whose state is in this memory would give the
// same numbers in each; here is everything that has such a state in Node.js, and what is done about it:
//
//   crypto.*          OpenSSL's generator is seeded anew in each clone (reseed.c)
//   crypto.randomUUID Node keeps 128 of them in stock: it is told not to
//   crypto.randomInt  Node keeps 1,024 numbers in stock: used up when there may be some from before
//   Math.random       V8 offers no way to seed it again: replaced by a generator of our own (xorshift128+, as V8's),
//                     which is seeded from the kernel in each clone
//
// Not reached: Math.random of other realms (vm.createContext, worker threads) that were made during the init phase.
// Nothing of it was ever good for secrets; functions that need equal numbers never to come use crypto.

const crypto = require('node:crypto');
const { syncBuiltinESMExports } = require('node:module');

const INT_STOCK = 6 * 1024 / 6;
const { seed } = require('./reseed.node');

const state = new Uint32Array(4); // s0 low, s0 high, s1 low, s1 high
const { randomInt, randomUUID } = crypto;
let intsUsed = false;

function random() {
	let lo = state[0], hi = state[1];
	const lo0 = state[2], hi0 = state[3];
	state[0] = lo0;
	state[1] = hi0;
	// s1 ^= s1 << 23; s1 ^= s1 >> 17; s1 ^= s0 ^ s0 >> 26
	const lo1 = lo ^ lo << 23, hi1 = hi ^ (hi << 23 | lo >>> 9);
	lo = lo1 ^ (lo1 >>> 17 | hi1 << 15) ^ lo0 ^ (lo0 >>> 26 | hi0 << 6);
	hi = hi1 ^ hi1 >>> 17 ^ hi0 ^ hi0 >>> 26;
	state[2] = lo;
	state[3] = hi;
	// the upper 53 bits of the sum
	const low = (lo >>> 0) + (lo0 >>> 0);
	const high = (hi >>> 0) + (hi0 >>> 0) + (low > 0xffffffff ? 1 : 0) >>> 0;
	return (high * 0x200000 + ((low >>> 0) >>> 11)) / 0x20000000000000;
}

// Before the function's code is loaded, which may keep what it finds.
function prepare() {
	Object.defineProperty(Math, 'random', { value: random, writable: true, enumerable: false, configurable: true });
	crypto.randomInt = function (min, max, callback) {
		intsUsed = true;
		return randomInt.call(this, min, max, callback);
	};
	crypto.randomUUID = function (options) {
		return randomUUID(typeof options === 'object' && options ? { ...options, disableEntropyCache: true }
			: options === undefined ? { disableEntropyCache: true } : options);
	};
	const web = Object.getPrototypeOf(crypto.webcrypto);
	Object.defineProperty(web, 'randomUUID', {
		value: { randomUUID() { return crypto.randomUUID(); } }.randomUUID, writable: true, enumerable: true, configurable: true });
	syncBuiltinESMExports();
	reseed();
}

// In each clone, when the kernel's generator has become its own.
function reseed() {
	if (!seed())
		throw new Error('OpenSSL has no seed');
	crypto.randomFillSync(state);
	if (!(state[0] | state[1] | state[2] | state[3]))
		state[0] = 1;
	// what was taken into stock in the init phase is in all clones
	for (let i = 0; intsUsed && i <= INT_STOCK; i++)
		randomInt(2);
}

module.exports = { prepare, reseed };
