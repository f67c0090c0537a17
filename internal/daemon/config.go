package daemon

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/aitrail/aitrail/internal/collect"
)

// Config is a configuration file: see docs/daemon.md.
type Config struct {
	Lake     string // "" for the default
	Listen   string // address of metrics and health; "" for none
	Token    string // file with the token that metrics ask for; needed when Listen is no loopback address
	Level    slog.Level
	JSON     bool   // log as JSON, not text
	Keys     string // file with CloudTrail's public keys; "" to ask CloudTrail
	Verify   time.Duration
	Maintain time.Duration // how often; 0: never
	Prompts  bool          // keep what model invocation logs have of prompts and answers

	Sources  []string
	Settings map[string]collect.Settings // by source
}

// Defaults of a configuration.
const (
	DefaultListen   = "127.0.0.1:9464"
	DefaultVerify   = 15 * time.Minute
	DefaultMaintain = time.Hour
)

// Problem is something wrong with a configuration.
type Problem struct {
	Line int
	Path string // "sources[1].poll"; "" for the whole
	Text string
}

// ConfigError lists all that is wrong with a configuration, in the order of lines.
type ConfigError struct {
	Name     string // of the file
	Problems []Problem
}

func (e *ConfigError) Error() string {
	var b strings.Builder
	for i, p := range e.Problems {
		if i > 0 {
			b.WriteString("\n")
		}
		fmt.Fprintf(&b, "%s:%d: ", e.Name, p.Line)
		if p.Path != "" {
			b.WriteString(p.Path + ": ")
		}
		b.WriteString(p.Text)
	}
	return b.String()
}

// maxConfig is the longest configuration that is read.
const maxConfig = 1 << 20

// ReadConfig reads a configuration in YAML; name is its file's. What isn't known is refused. The error is *ConfigError,
// with all problems at once, or r's.
func ReadConfig(name string, r io.Reader) (Config, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxConfig+1))
	if err != nil {
		return Config{}, err
	}
	p := &parser{c: Config{
		Listen: DefaultListen, Level: slog.LevelInfo, Verify: DefaultVerify, Maintain: DefaultMaintain,
		Settings: map[string]collect.Settings{},
	}}
	if len(text) > maxConfig {
		p.problem(nil, "", "is longer than a megabyte")
	} else {
		p.file(text)
	}
	if len(p.problems) > 0 {
		slices.SortStableFunc(p.problems, func(a, b Problem) int { return a.Line - b.Line })
		return Config{}, &ConfigError{name, p.problems}
	}
	return p.c, nil
}

// parser fills a configuration and gathers what is wrong.
type parser struct {
	c        Config
	problems []Problem
}

func (p *parser) problem(n *yaml.Node, path, format string, args ...any) {
	line := 1
	if n != nil && n.Line > 0 {
		line = n.Line
	}
	p.problems = append(p.problems, Problem{line, path, fmt.Sprintf(format, args...)})
}

func (p *parser) file(text []byte) {
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		p.syntax(err)
		return
	}
	if len(doc.Content) == 0 {
		p.problem(nil, "sources", "is missing: name at least one source")
		return
	}
	root := doc.Content[0]
	var sources, token, listen *yaml.Node
	p.object(root, "", map[string]func(*yaml.Node, string){
		"lake":     func(n *yaml.Node, path string) { p.text(n, path, &p.c.Lake) },
		"listen":   func(n *yaml.Node, path string) { listen = n; p.listen(n, path) },
		"token":    func(n *yaml.Node, path string) { token = n; p.text(n, path, &p.c.Token) },
		"keys":     func(n *yaml.Node, path string) { p.text(n, path, &p.c.Keys) },
		"verify":   func(n *yaml.Node, path string) { p.every(n, path, &p.c.Verify) },
		"maintain": func(n *yaml.Node, path string) { p.every(n, path, &p.c.Maintain) },
		"log":      p.log,
		"prompts":  p.prompts,
		"sources":  func(n *yaml.Node, path string) { sources = n; p.sources(n, path) },
	})
	if root.Kind == yaml.MappingNode && sources == nil {
		p.problem(root, "sources", "is missing: name at least one source")
	}
	if p.c.Listen != "" && !loopback(p.c.Listen) && token == nil && listen != nil {
		p.problem(listen, "listen", "%q is no loopback address: others could read the metrics; give the file of a token as token", p.c.Listen)
	}
}

// prompts is drop or keep.
func (p *parser) prompts(n *yaml.Node, path string) {
	var text string
	p.text(n, path, &text)
	switch text {
	case "keep":
		p.c.Prompts = true
	case "drop", "": // a problem is noted already
	default:
		p.problem(n, path, "needs drop or keep, not %q", text)
	}
}

// syntax takes the line out of the YAML library's error, which says "yaml: line 3: …".
func (p *parser) syntax(err error) {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	line := 1
	if _, scanErr := fmt.Sscanf(text, "line %d:", &line); scanErr == nil {
		_, text, _ = strings.Cut(text, ": ")
	}
	p.problems = append(p.problems, Problem{line, "", "not YAML: " + text})
}

// object reads an object's members.
func (p *parser) object(n *yaml.Node, path string, members map[string]func(*yaml.Node, string)) {
	n = resolve(n)
	if n.Kind != yaml.MappingNode {
		p.problem(n, path, "needs members, as in NAME: VALUE, not %s", what(n))
		return
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		at := key.Value
		if path != "" {
			at = path + "." + key.Value
		}
		read := members[key.Value]
		switch {
		case seen[key.Value]:
			p.problem(key, at, "stands there twice")
		case read == nil:
			known := slices.Sorted(func(yield func(string) bool) {
				for name := range members {
					if !yield(name) {
						return
					}
				}
			})
			p.problem(key, at, "is not known here; known are %s", strings.Join(known, ", "))
		default:
			read(value, at)
		}
		seen[key.Value] = true
	}
}

func resolve(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode && n.Alias != nil {
		n = n.Alias
	}
	return n
}

// what names a node's kind to people.
func what(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "members"
	case yaml.SequenceNode:
		if len(n.Content) == 0 {
			return "an empty list"
		}
		return "a list"
	}
	if n.Tag == "!!null" {
		return "nothing"
	}
	return fmt.Sprintf("%q", n.Value)
}

func (p *parser) text(n *yaml.Node, path string, into *string) bool {
	n = resolve(n)
	if n.Kind != yaml.ScalarNode || n.Tag == "!!null" || n.Value == "" {
		p.problem(n, path, "needs a text, not %s", what(n))
		return false
	}
	*into = n.Value
	return true
}

// every reads a time between two runs, or "never".
func (p *parser) every(n *yaml.Node, path string, into *time.Duration) {
	if resolve(n).Value == "never" {
		*into = 0
		return
	}
	p.duration(n, path, into)
}

func (p *parser) duration(n *yaml.Node, path string, into *time.Duration) {
	var text string
	if !p.text(n, path, &text) {
		return
	}
	d, err := time.ParseDuration(text)
	if days, ok := strings.CutSuffix(text, "d"); ok && err != nil {
		if d, err = time.ParseDuration(days + "h"); err == nil {
			d *= 24
		}
	}
	if err != nil || d <= 0 {
		p.problem(n, path, "needs a time above zero, as 30s, 15m, 2h or 7d, not %q", text)
		return
	}
	*into = d
}

func (p *parser) listen(n *yaml.Node, path string) {
	if resolve(n).Value == "none" {
		p.c.Listen = ""
		return
	}
	if !p.text(n, path, &p.c.Listen) {
		return
	}
	if _, _, err := net.SplitHostPort(p.c.Listen); err != nil {
		p.problem(n, path, "needs HOST:PORT or none, not %q", p.c.Listen)
		p.c.Listen = ""
	}
}

func loopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func (p *parser) log(n *yaml.Node, path string) {
	p.object(n, path, map[string]func(*yaml.Node, string){
		"level": func(n *yaml.Node, path string) {
			var text string
			if p.text(n, path, &text) && p.c.Level.UnmarshalText([]byte(text)) != nil {
				p.problem(n, path, "needs debug, info, warn or error, not %q", text)
			}
		},
		"format": func(n *yaml.Node, path string) {
			var text string
			if !p.text(n, path, &text) {
				return
			}
			if p.c.JSON = text == "json"; !p.c.JSON && text != "text" {
				p.problem(n, path, "needs text or json, not %q", text)
			}
		},
	})
}

func (p *parser) sources(n *yaml.Node, path string) {
	n = resolve(n)
	if n.Kind != yaml.SequenceNode || len(n.Content) == 0 {
		p.problem(n, path, "needs a list of sources, not %s", what(n))
		return
	}
	for i, item := range n.Content {
		p.source(resolve(item), fmt.Sprintf("%s[%d]", path, i))
	}
}

// source reads a source: its name alone, or an object with its settings.
func (p *parser) source(n *yaml.Node, path string) {
	var name string
	var s collect.Settings
	if n.Kind == yaml.ScalarNode {
		if !p.text(n, path, &name) {
			return
		}
	} else {
		p.object(n, path, map[string]func(*yaml.Node, string){
			"source":  func(n *yaml.Node, path string) { p.text(n, path, &name) },
			"poll":    func(n *yaml.Node, path string) { p.duration(n, path, &s.Poll) },
			"since":   func(n *yaml.Node, path string) { p.duration(n, path, &s.Since) },
			"buckets": func(n *yaml.Node, path string) { p.texts(n, path, &s.Buckets) },
		})
		if name == "" && n.Kind == yaml.MappingNode {
			p.problem(n, path+".source", "is missing")
		}
	}
	if name == "" {
		return
	}
	if slices.Contains(p.c.Sources, name) {
		p.problem(n, path, "%q stands there twice", name)
	}
	if err := collect.CheckSource(name, s); err != nil {
		var setting *collect.SettingError
		if errors.As(err, &setting) {
			path += "." + setting.Setting
		}
		p.problem(n, path, "%s", err)
	}
	p.c.Sources = append(p.c.Sources, name)
	p.c.Settings[name] = s
}

func (p *parser) texts(n *yaml.Node, path string, into *[]string) {
	n = resolve(n)
	if n.Kind != yaml.SequenceNode || len(n.Content) == 0 {
		p.problem(n, path, "needs a list, not %s", what(n))
		return
	}
	for i, item := range n.Content {
		var text string
		if p.text(item, fmt.Sprintf("%s[%d]", path, i), &text) {
			*into = append(*into, text)
		}
	}
}
