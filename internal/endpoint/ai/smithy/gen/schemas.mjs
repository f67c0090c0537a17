// Writes the API model of an npm client @aws-sdk/client-NAME in botocore's form, for gen to read. It is for the few clients
// that botocore leaves out because they need HTTP/2.
//
//	node schemas.mjs NODE_MODULES NAME OUT/NAME/API_VERSION/service-2.json
//
// The clients' schemas tell numbers from texts and no more: numbers are taken for doubles, and there are no limits, patterns
// and enumerations.
import {mkdirSync, readFileSync, writeFileSync} from "node:fs";
import {createRequire} from "node:module";
import {dirname, join, resolve} from "node:path";

const [modules, name, out] = process.argv.slice(2);
const root = resolve(modules, "@aws-sdk", "client-" + name);
const schemas = createRequire(join(root, "package.json"))(root);
const config = readFileSync(join(root, "dist-es/runtimeConfig.shared.js"), "utf8");
const {version} = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
const signing = readFileSync(join(root, "dist-es/auth/httpAuthSchemeProvider.js"), "utf8").match(/name: "([^"]+)"/)[1];

const shapes = {};
const simple = {0: "string", 1: "double", 2: "boolean", 4: "timestamp", 5: "timestamp", 6: "timestamp", 7: "timestamp", 15: "structure", 21: "blob", 42: "blob"};
const formats = {5: "iso8601", 6: "rfc822", 7: "unixTimestamp"};
const traitBits = {1: "httpLabel", 4: "idempotencyToken", 8: "sensitive", 16: "httpPayload", 32: "httpResponseCode", 64: "httpQueryParams"};

function traitsOf(traits) {
	if (typeof traits !== "number") return traits || {};
	return Object.fromEntries(Object.entries(traitBits).filter(([bit]) => traits & bit).map(([, trait]) => [trait, 1]));
}

// shape puts a schema among the shapes and returns its name there.
function shape(schema) {
	if (typeof schema === "function") return shape(schema());
	if (typeof schema === "number") {
		const item = schema & 63, kind = schema & 192;
		const of = simple[item];
		const known = (kind === 64 ? "ListOf" : kind === 128 ? "MapOf" : "") + "Simple" + item;
		if (!shapes[known]) {
			shapes[known] = kind === 64 ? {type: "list", member: {shape: shape(item)}}
				: kind === 128 ? {type: "map", key: {shape: shape(0)}, value: {shape: shape(item)}}
				: {type: of, ...(formats[item] && {timestampFormat: formats[item]}), ...(item === 15 && {document: true})};
		}
		return known;
	}
	const [kind, , own, traits, first, second, required] = schema;
	if (shapes[own]) return own;
	const s = shapes[own] = {};
	const t = traitsOf(traits);
	if (t.sensitive) s.sensitive = true;
	switch (kind) {
	case 0:
		Object.assign(s, shapes[shape(second ?? first)]);
		break;
	case 1:
		s.type = "list";
		s.member = {shape: shape(member(first).schema)};
		break;
	case 2:
		s.type = "map";
		s.key = {shape: shape(0)};
		s.value = {shape: shape(member(second).schema)};
		break;
	default: // structures, unions, errors
		s.type = "structure";
		s.members = {};
		if (kind === 4) s[t.streaming ? "eventstream" : "union"] = true;
		if (kind === -3) Object.assign(s, {exception: true, error: {code: own, httpStatusCode: t.httpError}});
		first.forEach((m, i) => {
			const {schema: of, traits: mt} = member(second[i]);
			const entry = s.members[m] = {shape: shape(of)};
			if (mt.httpHeader) Object.assign(entry, {location: "header", locationName: mt.httpHeader});
			if (mt.httpQuery) Object.assign(entry, {location: "querystring", locationName: mt.httpQuery});
			if (mt.httpLabel) Object.assign(entry, {location: "uri", locationName: m});
			if (mt.httpPayload) s.payload = m;
			if (mt.eventPayload) entry.eventpayload = true;
			if (mt.idempotencyToken) entry.idempotencyToken = true;
			if (s.eventstream && !shapes[entry.shape].exception) shapes[entry.shape].event = true;
		});
		if (required) s.required = first.slice(0, required);
	}
	return own;
}

function member(m) {
	return Array.isArray(m) && (typeof m[0] !== "number" || m.length === 2) ? {schema: m[0], traits: traitsOf(m[1])} : {schema: m, traits: {}};
}

const operations = {};
const errors = Object.values(schemas).filter((s) => Array.isArray(s) && s[0] === -3 && !s[1].startsWith("smithy.ts")).map((s) => ({shape: shape(s)}));
for (const s of Object.values(schemas)) {
	if (!Array.isArray(s) || s[0] !== 9) continue;
	const [, , operation, {http: [method, requestUri, responseCode]}, input, output] = s;
	operations[operation] = {http: {method, requestUri, responseCode}, input: {shape: shape(input)}, output: {shape: shape(output)}, errors};
}
const model = {
	metadata: {source: `npm @aws-sdk/client-${name} ${version}`, apiVersion: config.match(/apiVersion: "([^"]+)"/)[1], protocol: "rest-json", signingName: signing},
	operations, shapes,
};
if (!/AwsRestJsonProtocol/.test(config)) throw new Error(`${name} speaks another protocol than rest-json`);
mkdirSync(dirname(out), {recursive: true});
writeFileSync(out, JSON.stringify(model));
