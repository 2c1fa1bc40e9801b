// Turns CSV into JSON. By URL: POST the CSV; ?separator=%3B for another one than a comma. Answers an array with one
// object for each line, named by the first line. By event: {"csv": "...", "separator": ","}.

export const handler = async (event) => {
	if (!event.requestContext)
		return records(String(event.csv ?? ''), event.separator);
	const text = event.isBase64Encoded ? Buffer.from(event.body, 'base64').toString() : event.body ?? '';
	try {
		return { statusCode: 200, headers: { 'content-type': 'application/json' },
			body: JSON.stringify(records(text, event.queryStringParameters?.separator)) + '\n' };
	} catch (error) {
		return { statusCode: 400, headers: { 'content-type': 'text/plain' }, body: error.message + '\n' };
	}
};

function records(text, separator = ',') {
	const [names, ...lines] = rows(text, separator);
	return lines.map((fields) => Object.fromEntries((names ?? []).map((name, i) => [name, fields[i] ?? ''])));
}

// RFC 4180: fields in quotes may hold separators, line ends and doubled quotes.
function rows(text, separator) {
	if (separator.length !== 1 || separator === '"')
		throw new RangeError('separator must be one character');
	const all = [];
	let row = [], field = '', quoted = false;
	for (let i = 0; i < text.length; i++) {
		const c = text[i];
		if (quoted && c === '"' && text[i + 1] === '"')
			field += text[++i];
		else if (c === '"')
			quoted = !quoted;
		else if (!quoted && (c === separator || c === '\n')) {
			row.push(field.replace(/\r$/, ''));
			field = '';
			if (c === '\n') {
				all.push(row);
				row = [];
			}
		} else
			field += c;
	}
	if (quoted)
		throw new SyntaxError('a field in quotes has no end');
	if (field || row.length)
		all.push([...row, field]);
	return all;
}
