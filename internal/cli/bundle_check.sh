#!/bin/sh
# Checks an evidence bundle with sha256sum, openssl, gunzip, sed, grep and find; run it in the unpacked bundle.
# It says what does not hold, and ends with 0 only if all does. README.txt explains each step.
cd "$(dirname "$0")" || exit 1
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
wrong() { echo "WRONG: $*"; echo x >>"$work/wrong"; }
member() { sed -n 's/.*"'"$1"'" *: *"\([^"]*\)".*/\1/p' "$work/digest" | head -n 1; }

# 1. The files are those of the manifest, which the exporter signed.
sha256sum --quiet -c SHA256SUMS || wrong "SHA256SUMS"
sed 's/^[0-9a-f]*  //' SHA256SUMS | sort >"$work/listed"
find . -type f | sed 's|^\./||' | grep -v -x -e SHA256SUMS -e manifest.json -e manifest.sig | sort >"$work/there"
cmp -s "$work/listed" "$work/there" || wrong "there are other files than SHA256SUMS lists"
tr '{' '\n' <manifest.json | sed -n 's/.*"name": *"\([^"]*\)".*"sha256": *"\([^"]*\)".*/\2  \1/p' | sort >"$work/manifest"
sort SHA256SUMS | cmp -s - "$work/manifest" || wrong "SHA256SUMS is not what manifest.json says"
openssl pkeyutl -verify -rawin -pubin -inkey keys/exporter.pem -sigfile manifest.sig -in manifest.json >/dev/null 2>&1 ||
	wrong "manifest.sig is not the signature of manifest.json"

# 2. CloudTrail signed the digests. 3. The log files are those that the digests name.
: >"$work/proven"
find bucket -type f -path '*CloudTrail-Digest*' -name '*.json.gz' | sort >"$work/digests"
while read -r file; do
	gunzip -c "$file" >"$work/digest" || { wrong "$file: not a gzip file"; continue; }
	previous=$(member previousDigestSignature)
	printf '%s\n%s/%s\n%s\n%s' "$(member digestEndTime)" "$(member digestS3Bucket)" "$(member digestS3Object)" \
		"$(sha256sum <"$work/digest" | cut -d ' ' -f 1)" "${previous:-null}" >"$work/signed"
	if ! openssl dgst -sha256 -verify "keys/$(member digestPublicKeyFingerprint).pem" \
		-signature "metadata/${file#bucket/}.sig" "$work/signed" >/dev/null 2>&1; then
		wrong "$file: its signature does not hold"
		continue
	fi
	{ tr '{' '\n' <"$work/digest"; echo; } |
		sed -n 's/.*"s3Bucket" *: *"\([^"]*\)".*"s3Object" *: *"\([^"]*\)".*"hashValue" *: *"\([^"]*\)".*/\3 bucket\/\1\/\2/p' >"$work/names"
	while read -r hash name; do
		[ -f "$name" ] || continue
		if [ "$(gunzip -c "$name" 2>/dev/null | sha256sum | cut -d ' ' -f 1)" = "$hash" ]; then
			echo "$name" >>"$work/proven"
		else
			wrong "$name: not as the digest says"
		fi
	done <"$work/names"
done <"$work/digests"

# 4. The events stand in the log files.
sed 's/^{"file":"\([^"]*\)".*/\1/' events.jsonl | sort -u >"$work/sources"
while read -r name; do
	grep -q -x -F "$name" "$work/proven" || wrong "$name: no signed digest proves it"
	gunzip -c "$name" 2>/dev/null >"$work/log"
	grep -F '{"file":"'"$name"'"' events.jsonl | sed 's/^{"file":"[^"]*","index":[0-9]*,"verdict":"[^"]*","event"://; s/}$//' >"$work/events"
	while IFS= read -r event; do
		grep -q -F -e "$event" "$work/log" || wrong "$name: an event is not in it: $event"
	done <"$work/events"
done <"$work/sources"

if [ -s "$work/wrong" ]; then
	echo "$(wc -l <"$work/wrong") things do not hold"
	exit 1
fi
echo "all holds: $(wc -l <events.jsonl) events in $(wc -l <"$work/sources") log files, $(wc -l <"$work/digests") digests"
