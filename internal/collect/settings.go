package collect

import (
	"fmt"
	"net/url"
	"strings"
)

// SettingError tells which setting of a source is wrong.
type SettingError struct {
	Setting string // buckets, since, poll
	Text    string
}

func (e *SettingError) Error() string { return e.Text }

// kindOfSource returns what a source's name begins with, when it is no folder, file or bucket, and the rest.
func kindOfSource(source string) (kind, rest string) {
	for _, kind := range []string{queueScheme, groupScheme, historyScheme} {
		if rest, ok := strings.CutPrefix(source, kind); ok {
			return kind, rest
		}
	}
	return "", source
}

// OneByOne tells whether a source's events come one by one, and not in log files.
func OneByOne(source string) bool {
	kind, _ := kindOfSource(source)
	return kind == groupScheme || kind == historyScheme
}

// CheckSource tells what is wrong with a source's name and settings. The error is *SettingError when it is a setting.
func CheckSource(source string, s Settings) error {
	kind, rest := kindOfSource(source)
	live := kind == groupScheme || kind == historyScheme
	switch {
	case s.Since != 0 && !live:
		return &SettingError{"since", "is for logs: and history: sources; others are read from their beginning"}
	case len(s.Buckets) > 0 && kind != queueScheme:
		return &SettingError{"buckets", "is for sqs: sources"}
	case kind == queueScheme:
		u, err := url.Parse(rest)
		if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || strings.Count(u.Path, "/") < 2 {
			return fmt.Errorf("source %q is no queue: it needs the queue's URL, as sqs:https://sqs.us-east-1.amazonaws.com/111122223333/NAME", source)
		}
		if len(s.Buckets) == 0 {
			return &SettingError{"buckets", fmt.Sprintf("source %q needs the buckets that its messages may name", source)}
		}
	case kind == groupScheme && rest == "":
		return fmt.Errorf("source %q names no log group: logs:NAME or logs:ARN", source)
	case kind == historyScheme && rest != "":
		return checkRegions(source, strings.Split(rest, ","))
	case kind == "":
		return checkScheme(source)
	}
	return nil
}

func checkRegions(source string, names []string) error {
	for _, name := range names {
		nearest, ok := checkRegion(name)
		switch {
		case ok:
		case len(nearest) > 0:
			return fmt.Errorf("source %q: %q is no Region of AWS; did you mean %s?", source, name, strings.Join(nearest, " or "))
		default:
			return fmt.Errorf("source %q: %q is no Region of AWS: history: is for AWS's default Region, history:us-east-1,eu-west-1 for these", source, name)
		}
	}
	return nil
}

// checkScheme tells of a source that no kind begins like.
func checkScheme(source string) error {
	scheme, rest, isURL := strings.Cut(source, "://")
	switch {
	case !isURL || scheme == "file":
		return nil
	case scheme != "s3":
		return fmt.Errorf("source %q: no source begins with %s://; there are FOLDER, FILE, s3://BUCKET/PREFIX, sqs:URL, logs:GROUP and history:REGION", source, scheme)
	case strings.Trim(rest, "/") == "" || strings.HasPrefix(rest, "/"):
		return fmt.Errorf("source %q names no bucket: s3://BUCKET or s3://BUCKET/PREFIX", source)
	}
	return nil
}
