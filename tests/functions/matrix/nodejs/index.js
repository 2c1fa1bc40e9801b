'use strict';
// Does what the event asks for, or fails in the init phase as FAIL_INIT says.
const crypto = require('node:crypto');

if (process.env.FAIL_INIT === 'error')
	throw new RangeError('told to fail at the start');
if (process.env.FAIL_INIT === 'exit')
	process.exit(1);

// What the clones of this moment have in common.
Math.random();
crypto.randomInt(1000);
crypto.randomUUID();
crypto.randomBytes(8);
const forever = () => new Promise((resolve) => setTimeout(resolve, 60000));

const actions = {
	ok: (event, context) => ({ ok: true, id: context.awsRequestId.length, name: context.functionName,
		execution_env: process.env.AWS_EXECUTION_ENV }),
	unique: () => ({ random: Math.random(), int: crypto.randomInt(2 ** 47), uuid: crypto.randomUUID(),
		web: crypto.webcrypto.randomUUID(), bytes: crypto.randomBytes(8).toString('hex'),
		key: crypto.generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'der' }).toString('hex') }),
	error: () => { throw new TypeError('told to fail'); },
	exit: (event) => process.exit(event.status),
	signal: () => { process.kill(process.pid, 'SIGSEGV'); return forever(); },
	sleep: forever,
	large: (event) => 'x'.repeat(event.size - 2),
	'not-json': () => { const ring = {}; ring.ring = ring; return ring; },
	print: () => { console.log('a line of the function'); console.warn('of %d', 2); },
	uncaught: () => { setImmediate(() => { throw new Error('caught by nobody'); }); return forever(); },
	unhandled: () => { Promise.reject(new Error('handled by nobody')); return forever(); },
	unsettled: () => new Promise(() => {}),
	remaining: (event, context) => context.getRemainingTimeInMillis(),
};

exports.handler = async (event, context) => {
	return await actions[event.do](event, context);
};

// Two pieces, then its end or an error.
exports.stream = awslambda.streamifyResponse(async (event, out, context) => {
	if (event.do === 'early')
		throw new TypeError('told to fail');
	if (event.do === 'http')
		out = awslambda.HttpResponseStream.from(out, { statusCode: 203, headers: { 'x-from': 'node' }, cookies: ['a=b'] });
	else
		out.setContentType('text/x-matrix');
	out.write('first ');
	await new Promise((resolve) => setTimeout(resolve, 200));
	if (event.do === 'middle')
		throw new TypeError('told to fail');
	out.write('last');
	out.end();
});

exports.callback = (event, context, callback) => {
	context.callbackWaitsForEmptyEventLoop = event.wait;
	setTimeout(() => console.log('after the callback'), 50);
	if (event.fail)
		callback(new RangeError('told to fail'));
	else
		callback(null, { called: 'back' });
};
