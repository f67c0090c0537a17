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
	case kind == historyScheme && strings.ContainsAny(rest, " /:"):
		return fmt.Errorf("source %q names no Regions: history: for AWS's default Region, or history:us-east-1,eu-west-1", source)
	}
	return nil
}
