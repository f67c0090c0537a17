package cli

import (
	"fmt"
	"strings"
	"time"

	"github.com/aitrail/aitrail/internal/cloudtrail"
	"github.com/aitrail/aitrail/internal/digest"
)

// readme is the bundle's page for people.
func (x *export) readme() string {
	var b strings.Builder
	m := &x.listing
	fmt.Fprintf(&b, `EVIDENCE BUNDLE

%d events of AWS CloudTrail, %d of them proven, made %s by aitrail.
Chosen by: %s
%s
  events.jsonl        one event a line: its log file, its place in there (from 0), the file's verdict, the record
  bucket/B/KEY        log files and digests of bucket B, byte for byte
  metadata/B/KEY.json what S3 keeps beside a digest: its signature; .sig is that signature in bytes
  keys/REGION.json    CloudTrail's public keys, as "aws cloudtrail list-public-keys" prints them; .pem for openssl
  keys/exporter.pem   the key that signed this bundle's manifest (Ed25519)
  manifest.json       every file with its SHA-256; what was known of log files and digests when the bundle was made
  manifest.sig        the exporter's signature of manifest.json
  SHA256SUMS          the same sums, for sha256sum

What proves what: AWS signed each digest. A digest names the log files of an hour with the SHA-256 of their content. An
event is a record of such a log file. What the exporter chose to put into events.jsonl is proven by manifest.sig only.


CHECK IT WITHOUT AITRAIL

  sh check.sh         does all of the steps below, and says what does not hold

1. The files are whole, and the manifest is the exporter's:

  sha256sum --quiet -c SHA256SUMS
  openssl pkeyutl -verify -rawin -pubin -inkey keys/exporter.pem -sigfile manifest.sig -in manifest.json

2. The keys are AWS's. This asks AWS for them; compare Value with keys/REGION.json:

%s
3. A digest's signature is over four lines, joined by line feeds: its end time, its bucket/key, the SHA-256 of its
   uncompressed bytes, and its predecessor's signature ("null" for the first). For one digest:

%s
4. A log file has the hash that the digest names (hashValue), and holds the event:

%s

CHECK IT WITH THE AWS CLI

The AWS CLI reads from a bucket of the same name as the original. Put the files into one, with their metadata (an account
of your own, or an endpoint that you set with AWS_ENDPOINT_URL), and have them validated. A run below is a stretch of
digests that follow one another.

  cd bucket
  for b in *; do
    (cd "$b" && find . -type f) | sed 's|^\./||' | while read -r key; do
      set -- --bucket "$b" --key "$key" --body "$b/$key"
      [ -f "../metadata/$b/$key.json" ] && set -- "$@" --metadata "file://../metadata/$b/$key.json"
      aws s3api put-object "$@" </dev/null >/dev/null || echo "not put: $key"
    done
  done
  cd ..

%s`, m.Events, m.Proven, m.Made.Format(time.RFC3339), orAll(m.Filter), leftOut(m.LeftOut), x.keyCommands(), x.digestCommands(), x.fileCommands(), x.cliCommands())
	return b.String()
}

func leftOut(n int64) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("%d more were chosen and are not in here: they came one by one, and no collected log file holds them.\n", n)
}

func orAll(filter []string) string {
	if len(filter) == 0 {
		return "all events of the lake"
	}
	return strings.Join(filter, " ")
}

// keyCommands ask AWS for the public keys of each Region.
func (x *export) keyCommands() string {
	var b strings.Builder
	seen := map[string]bool{}
	for _, p := range x.places {
		if len(p.digests) == 0 || seen[p.region] {
			continue
		}
		seen[p.region] = true
		first, last := p.digests[0].Start, p.digests[0].End
		for _, d := range p.digests {
			if d.Start.Before(first) {
				first = d.Start
			}
			if d.End.After(last) {
				last = d.End
			}
		}
		fmt.Fprintf(&b, "  aws cloudtrail list-public-keys --region %s --start-time %s --end-time %s\n",
			p.region, digest.FormatTime(first), digest.FormatTime(last.Add(2*time.Hour)))
	}
	return b.String()
}

// digestCommands check the signature of one digest.
func (x *export) digestCommands() string {
	for _, p := range x.places {
		for _, d := range p.digests {
			if d.Metadata[digest.MetaSignature] == "" {
				continue
			}
			name := d.Digest.DigestS3Bucket + "/" + d.Digest.DigestS3Object
			previous := d.Digest.PreviousDigestSignature
			if previous == "" {
				previous = "null"
			}
			return fmt.Sprintf(`  f=%s
  printf '%%s\n%%s\n%%s\n%%s' %s "$f" "$(gunzip -c "bucket/$f" | sha256sum | cut -d ' ' -f 1)" \
    %s >signed.txt
  openssl dgst -sha256 -verify keys/%s.pem -signature "metadata/$f.sig" signed.txt; rm signed.txt
`, name, d.Digest.DigestEndTime, previous, d.Digest.DigestPublicKeyFingerprint)
		}
	}
	return "  (no digest with a signature is in this bundle)\n"
}

// fileCommands check one log file.
func (x *export) fileCommands() string {
	for _, item := range x.listing.LogFiles {
		if item.Digest != "" && item.Events > 0 {
			return fmt.Sprintf(`  f=%s
  gunzip -c "$f" | sha256sum
  gunzip -c %s | tr '{' '\n' | grep "\"${f#bucket/*/}\""
  grep -c "^{\"file\":\"$f\"" events.jsonl
`, item.Name, item.Digest)
		}
	}
	return "  (no log file that a digest names is in this bundle)\n"
}

// cliCommands have the AWS CLI validate each run of digests.
func (x *export) cliCommands() string {
	if x.slim {
		return "This bundle was made with --slim: the AWS CLI will say that the log files left out are missing.\n"
	}
	var b strings.Builder
	for _, p := range x.places {
		for _, run := range p.runs() {
			first, last := &run[0], &run[len(run)-1]
			start := first.Start.Add(time.Second) // so that it does not look for the digest before
			end := last.End.Add(-time.Hour)       // it looks an hour further
			if end.Before(start) {
				end = start
			}
			key, _ := cloudtrail.ParseKey(last.Digest.DigestS3Object)
			fmt.Fprintf(&b, "  aws cloudtrail validate-logs --region %s --trail-arn arn:%s:cloudtrail:%s:%s:trail/%s \\\n    --start-time %s --end-time %s --s3-bucket %s",
				p.region, partition(last.HomeRegion), last.HomeRegion, p.account, last.Trail, digest.FormatTime(start), digest.FormatTime(end), last.Digest.DigestS3Bucket)
			if key.Prefix != "" {
				fmt.Fprintf(&b, " --s3-prefix %s", key.Prefix)
			}
			b.WriteString("\n")
			if last.Organization != "" {
				b.WriteString("    (an organization's trail: take its own ARN, leave --s3-bucket and --s3-prefix out, and add --account-id " + p.account + ")\n")
			}
		}
	}
	return b.String()
}

// partition returns the partition of a Region, as ARNs name it.
func partition(region string) string {
	switch {
	case strings.HasPrefix(region, "cn-"):
		return "aws-cn"
	case strings.HasPrefix(region, "us-gov-"):
		return "aws-us-gov"
	}
	return "aws"
}
