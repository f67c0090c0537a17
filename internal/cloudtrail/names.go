package cloudtrail

import (
	"strings"
	"time"
)

// Kind is a kind of file that CloudTrail delivers. Its value is what stands for it in keys.
type Kind string

// The kinds. KindAggregated's value is inferred: AWS documents aggregated events, but no sample of a key was found.
const (
	KindLog             Kind = "CloudTrail"
	KindDigest          Kind = "CloudTrail-Digest"
	KindInsight         Kind = "CloudTrail-Insight"
	KindNetworkActivity Kind = "CloudTrail-NetworkActivity"
	KindAggregated      Kind = "CloudTrail-Aggregated"
)

// Kinds returns all kinds.
func Kinds() []Kind {
	return []Kind{KindLog, KindDigest, KindInsight, KindNetworkActivity, KindAggregated}
}

// Key is the name of a delivered file
// (https://docs.aws.amazon.com/awscloudtrail/latest/userguide/get-and-view-cloudtrail-log-files.html for log files,
// https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-log-file-validation-digest-file-structure.html
// for digests).
type Key struct {
	Prefix       string // before AWSLogs/, without the slash; "" for none
	Organization string // "o-exampleorgid" in organization trails
	Account      string // twelve digits
	Kind         Kind
	Region       string
	Time         time.Time // UTC; log files: when it was made, to the minute; digests: the end of the period, to the second
	Unique       string    // log files: sixteen letters and digits
	Trail        string    // digests: the trail's name
	HomeRegion   string    // digests: the trail's home Region
	Backfill     bool      // digests: made later for a period that had none
	Plain        bool      // the name ends in .json, not .json.gz
}

const (
	logTime    = "20060102T1504Z"
	digestTime = "20060102T150405Z"
)

// String returns the key.
func (k Key) String() string {
	return KindPrefix(k.Prefix, k.Organization, k.Account, k.Kind, k.Region) + k.Time.UTC().Format("2006/01/02/") + k.Name()
}

// Name returns the key's last part, the file name.
func (k Key) Name() string {
	name := k.Account + "_" + string(k.Kind) + "_" + k.Region + "_"
	if k.Kind == KindDigest {
		name += k.Trail + "_" + k.HomeRegion + "_" + k.Time.UTC().Format(digestTime)
		if k.Backfill {
			name += "_backfill"
		}
	} else {
		name += k.Time.UTC().Format(logTime) + "_" + k.Unique
	}
	if k.Plain {
		return name + ".json"
	}
	return name + ".json.gz"
}

// KindPrefix returns what the keys of one account, kind and Region begin with, ending in a slash. With an empty Region
// it ends with the kind, with an empty kind with the account, and with an empty account with the organization or AWSLogs.
func KindPrefix(prefix, organization, account string, kind Kind, region string) string {
	var b strings.Builder
	if prefix != "" {
		b.WriteString(prefix + "/")
	}
	b.WriteString("AWSLogs/")
	if organization != "" {
		b.WriteString(organization + "/")
	}
	for _, part := range []string{account, string(kind), region} {
		if part == "" {
			break
		}
		b.WriteString(part + "/")
	}
	return b.String()
}

// ParseKey reads a key of a bucket, or a path with slashes that ends like one; of a bare file name, or one in
// folders of another layout, it reads what the name says. ok is false for what is no name of CloudTrail's.
func ParseKey(key string) (k Key, ok bool) {
	dir, name := "", key
	if i := strings.LastIndexByte(key, '/'); i >= 0 {
		dir, name = key[:i], key[i+1:]
	}
	if k, ok = parseName(name); !ok {
		return Key{}, false
	}
	k.Prefix, k.Organization = parseDir(dir, k)
	return k, true
}

// parseName reads ACCOUNT_KIND_REGION_…; a trail's name may have underscores in it.
func parseName(name string) (k Key, ok bool) {
	base, found := strings.CutSuffix(name, ".json.gz")
	if !found {
		if base, found = strings.CutSuffix(name, ".json"); !found {
			return k, false
		}
		k.Plain = true
	}
	base, k.Backfill = strings.CutSuffix(base, "_backfill")
	parts := strings.Split(base, "_")
	if len(parts) < 5 || !isAccount(parts[0]) {
		return k, false
	}
	k.Account, k.Kind, k.Region = parts[0], Kind(parts[1]), parts[2]
	if k.Kind != KindDigest {
		for _, kind := range Kinds() {
			ok = ok || k.Kind == kind
		}
		k.Unique = parts[4]
		var err error
		k.Time, err = time.Parse(logTime, parts[3])
		return k, ok && err == nil && len(parts) == 5 && k.Unique != "" && k.Region != "" && !k.Backfill
	}
	last := len(parts) - 1
	if last < 5 {
		return k, false
	}
	k.Trail, k.HomeRegion = strings.Join(parts[3:last-1], "_"), parts[last-1]
	var err error
	k.Time, err = time.Parse(digestTime, parts[last])
	return k, err == nil && k.Trail != "" && k.HomeRegion != "" && k.Region != ""
}

// parseDir finds the prefix and organization in the folders above a file; both are "" in another layout.
func parseDir(dir string, k Key) (prefix, organization string) {
	tail := "AWSLogs/"
	i := strings.LastIndex("/"+dir+"/", "/"+tail)
	if i < 0 {
		return "", ""
	}
	rest := strings.Split(dir[min(i+len(tail), len(dir)):], "/")
	if len(rest) > 1 && strings.HasPrefix(rest[0], "o-") && rest[1] == k.Account {
		organization = rest[0]
	} else if rest[0] != k.Account {
		return "", ""
	}
	return strings.TrimSuffix(dir[:i], "/"), organization
}

func isAccount(s string) bool {
	if len(s) != 12 {
		return false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}
