package smithy

import (
	"bytes"
	"compress/gzip"
	"embed"
	"encoding/json"
	"fmt"
	"regexp"
	"sync"
)

//go:generate go run ./gen -botocore ${BOTOCORE_DATA} -out models

//go:embed models
var models embed.FS

// Head is what is said of a whole API.
type Head struct {
	Client      string // botocore's name: "bedrock-runtime"
	Version     string // "2023-09-30"
	Protocol    string // "rest-json" or "json"
	JSONVersion string `json:",omitempty"` // "1.0" or "1.1" for protocol "json"
	Target      string `json:",omitempty"` // the prefix of X-Amz-Target
	Signing     string // the service in a credential scope
	Source      string // where the model is from: "botocore 1.44.8"
}

// Model is one SDK client's API. It is read only once loaded.
type Model struct {
	Head
	Operations map[string]*Operation // by name
	Shapes     map[string]*Shape     // by name
	Errors     map[string]int        // HTTP statuses by error code
}

// Operation is one operation of a Model.
type Operation struct {
	Name       string `json:"-"`
	Model      *Model `json:"-"`
	Input      *Shape `json:"-"` // nil: takes nothing
	Output     *Shape `json:"-"` // nil: answers nothing
	Method     string
	URI        string
	Status     int    `json:",omitempty"` // 0 means 200
	InputName  string `json:",omitempty"`
	OutputName string `json:",omitempty"`
	// Errors are the codes of the errors that the operation is modelled to answer with, sorted.
	Errors []string `json:",omitempty"`
}

// Shape is a type of a Model.
type Shape struct {
	Name        string   `json:"-"`
	Item        *Shape   `json:"-"` // a list's members, a map's values
	Type        string   // structure, list, map, string, integer, long, float, double, boolean, blob, timestamp
	Members     []Member `json:",omitempty"`
	Required    []string `json:",omitempty"`
	ItemName    string   `json:",omitempty"`
	Enum        []string `json:",omitempty"`
	Min         *float64 `json:",omitempty"`
	Max         *float64 `json:",omitempty"`
	Pattern     string   `json:",omitempty"`
	Payload     string   `json:",omitempty"` // the member that is the HTTP body
	Format      string   `json:",omitempty"` // of timestamps: iso8601, unixTimestamp, rfc822
	Sensitive   bool     `json:",omitempty"`
	Document    bool     `json:",omitempty"` // any JSON value
	Union       bool     `json:",omitempty"`
	EventStream bool     `json:",omitempty"`
	Event       bool     `json:",omitempty"`
	Exception   bool     `json:",omitempty"`

	once    sync.Once
	pattern *regexp.Regexp
}

// Member is one member of a structure.
type Member struct {
	Shape     *Shape `json:"-"`
	Name      string
	ShapeName string
	In        string `json:",omitempty"` // uri, querystring, header, headers, statusCode; "" is the body
	Wire      string `json:",omitempty"` // its name there, if another
	Format    string `json:",omitempty"`
	Sensitive bool   `json:",omitempty"`
	Token     bool   `json:",omitempty"` // an idempotency token: SDKs fill it in
	Payload   bool   `json:",omitempty"` // of events: the member is the whole message
	JSON      bool   `json:",omitempty"` // of headers: the text is base64 of a JSON value
}

// WireName is the member's name in a message.
func (m *Member) WireName() string {
	if m.Wire != "" {
		return m.Wire
	}
	return m.Name
}

// Member returns the structure's member with the name, or nil.
func (s *Shape) Member(name string) *Member {
	for i := range s.Members {
		if s.Members[i].Name == name {
			return &s.Members[i]
		}
	}
	return nil
}

// Load reads the embedded model of an SDK client.
func Load(client string) (*Model, error) {
	m := &Model{}
	if err := unpack(client, m); err != nil {
		return nil, err
	}
	return m, m.link()
}

// unpack reads one of the embedded files.
func unpack(name string, v any) error {
	packed, err := models.ReadFile("models/" + name + ".json.gz")
	if err != nil {
		return fmt.Errorf("loading the API model of %q: %w", name, err)
	}
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return fmt.Errorf("loading the API model of %q: %w", name, err)
	}
	if err := json.NewDecoder(z).Decode(v); err != nil {
		return fmt.Errorf("loading the API model of %q: %w", name, err)
	}
	return nil
}

// link turns names into pointers.
func (m *Model) link() error {
	find := func(name string) (*Shape, error) {
		if s := m.Shapes[name]; s != nil || name == "" {
			return s, nil
		}
		return nil, fmt.Errorf("the API model of %q has no shape %q", m.Client, name)
	}
	var err error
	for name, s := range m.Shapes {
		s.Name = name
		if s.Item, err = find(s.ItemName); err != nil {
			return err
		}
		for i := range s.Members {
			if s.Members[i].Shape, err = find(s.Members[i].ShapeName); err != nil {
				return err
			}
		}
	}
	for name, op := range m.Operations {
		op.Name, op.Model = name, m
		if op.Input, err = find(op.InputName); err != nil {
			return err
		}
		if op.Output, err = find(op.OutputName); err != nil {
			return err
		}
	}
	return nil
}

// Define adds an operation that no SDK's model has: a REST operation whose input and output are JSON objects of
// strings, those of the input being required.
func (m *Model) Define(name, method, uri string, input, output []string) error {
	structure := func(suffix string, members []string) *Shape {
		s := &Shape{Type: "structure"}
		for _, n := range members {
			s.Members = append(s.Members, Member{Name: n, ShapeName: name + "String"})
		}
		m.Shapes[name+suffix] = s
		return s
	}
	m.Shapes[name+"String"] = &Shape{Type: "string"}
	structure("Request", input).Required = input
	structure("Response", output)
	m.Operations[name] = &Operation{Method: method, URI: uri, InputName: name + "Request", OutputName: name + "Response"}
	return m.link()
}
