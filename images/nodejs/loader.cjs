'use strict';
// Finds the handler that _HANDLER names: CommonJS and ES modules.

const fs = require('node:fs');
const path = require('node:path');
const { pathToFileURL } = require('node:url');
const { RuntimeError } = require('./errors.cjs');

// The nearest package.json says what a .js file is.
function isModule(file) {
	if (file.endsWith('.mjs'))
		return true;
	if (file.endsWith('.cjs'))
		return false;
	for (let folder = path.dirname(file); ; folder = path.dirname(folder)) {
		try {
			return JSON.parse(fs.readFileSync(path.join(folder, 'package.json'), 'utf8')).type === 'module';
		} catch (error) {
			if (error.code !== 'ENOENT' && error.code !== 'ENOTDIR')
				throw error;
		}
		if (path.dirname(folder) === folder || path.basename(folder) === 'node_modules')
			return false;
	}
}

function fileOf(base) {
	for (const ending of ['', '.js', '.mjs', '.cjs']) {
		if (fs.statSync(base + ending, { throwIfNoEntry: false })?.isFile())
			return base + ending;
	}
	return null;
}

async function loadModule(root, name) {
	const base = path.resolve(root, name);
	const file = fileOf(base);
	try {
		if (file)
			return isModule(file) ? await import(pathToFileURL(file).href) : require(file);
		return require(require.resolve(name.startsWith('.') ? base : name, { paths: [root] }));
	} catch (error) {
		if (error instanceof SyntaxError)
			throw new RuntimeError('Runtime.UserCodeSyntaxError', `${error}`, error);
		if (error?.code === 'MODULE_NOT_FOUND' || error?.code === 'ERR_MODULE_NOT_FOUND')
			throw new RuntimeError('Runtime.ImportModuleError', `${error}`, error);
		throw error;
	}
}

// {handler, self}: the function and its `this`.
async function loadHandler(root, name) {
	const folder = path.dirname(name);
	const [, module, member] = /^([^.]+)\.(.+)$/.exec(path.basename(name)) ?? [];
	if (!module || name.includes('..'))
		throw new RuntimeError('Runtime.MalformedHandlerName', `Bad handler '${name}': expected FILE.FUNCTION`);
	let self = await loadModule(root, path.join(folder, module));
	// What a CommonJS module sets while it runs is not seen as a name of it by import.
	if (self && !(member.split('.')[0] in self) && self.default)
		self = self.default;
	let found = self;
	for (const part of member.split('.')) {
		self = found;
		found = found?.[part];
	}
	if (found === undefined)
		throw new RuntimeError('Runtime.HandlerNotFound', `${name} is undefined or not exported`);
	if (typeof found !== 'function')
		throw new RuntimeError('Runtime.HandlerNotFound', `${name} is not a function`);
	return { handler: found, self };
}

module.exports = { loadHandler };
