// Command gen writes the API models that package smithy embeds, from botocore's.
//
//	BOTOCORE_DATA=…/botocore/data:…/older/botocore/data:…/schemas go generate ./internal/endpoint/ai/smithy
//
// It writes a file for each client that the catalog of AI services names and one of the folders has, the first one best, and
// an index of them all, which is what requests are routed by. Older botocores have clients of services that AWS has ended
// since; what schemas.mjs makes of npm's clients are those that botocore leaves out. A client's newest version is taken, whole but
// for its prose: documentation, examples, paginators and what only clients need are left out. The SDKs are under the Apache
// License 2.0; what is kept of them are the facts of the interface.
package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sort"

	"github.com/aitrail/aitrail/internal/catalog"
	"github.com/aitrail/aitrail/internal/endpoint/ai/smithy"
)

// source is what is read of a botocore service-2.json.
type source struct {
	Metadata struct {
		APIVersion   string `json:"apiVersion"`
		Protocol     string `json:"protocol"`
		JSONVersion  string `json:"jsonVersion"`
		TargetPrefix string `json:"targetPrefix"`
		SigningName  string `json:"signingName"`
		Endpoint     string `json:"endpointPrefix"`
		Source       string // set by schemas.mjs
	}
	Operations map[string]struct {
		HTTP struct {
			Method       string
			RequestURI   string `json:"requestUri"`
			ResponseCode int    `json:"responseCode"`
		} `json:"http"`
		Input, Output struct{ Shape string }
		Errors        []struct{ Shape string }
	}
	Shapes map[string]sourceShape
}

type sourceMember struct {
	Shape           string
	Location        string
	LocationName    string `json:"locationName"`
	TimestampFormat string `json:"timestampFormat"`
	IdempotentToken bool   `json:"idempotencyToken"`
	Sensitive       bool   `json:"sensitive"`
	EventPayload    bool   `json:"eventpayload"`
	JSON            bool   `json:"jsonvalue"`
}

type sourceShape struct {
	Type            string
	Required        []string
	Members         map[string]sourceMember
	Member          *sourceMember
	Value           *sourceMember
	Enum            []string
	Pattern         string
	Min, Max        *float64
	Payload         string
	Sensitive       bool
	TimestampFormat string `json:"timestampFormat"`
	Document        bool
	Union           bool
	EventStream     bool `json:"eventstream"`
	Event           bool
	Exception       bool
	Error           struct {
		Code   string
		Status int `json:"httpStatusCode"`
	}
}

func main() {
	log.SetFlags(0)
	data := flag.String("botocore", "", "data folders of botocore, as in $PATH")
	out := flag.String("out", "models", "folder to write to")
	flag.Parse()
	if *data == "" {
		log.Print("BOTOCORE_DATA is not set: the API models stay as they are")
		return
	}
	if err := generateAll(filepath.SplitList(*data), *out); err != nil {
		log.Fatal(err)
	}
}

var version = regexp.MustCompile(`__version__ = '([0-9.]+)'`)

// generateAll writes the models of all clients and their index.
func generateAll(data []string, out string) error {
	old, err := filepath.Glob(filepath.Join(out, "*.json.gz"))
	if err != nil {
		return err
	}
	for _, name := range old {
		if err := os.Remove(name); err != nil {
			return err
		}
	}
	index := smithy.Index{}
	for _, service := range catalog.Services() {
		for _, api := range service.APIs {
			at := slices.IndexFunc(data, func(folder string) bool {
				files, err := versions(folder, api.Client)
				return err == nil && len(files) > 0
			})
			if at < 0 {
				log.Printf("%s: no folder has the client %s", service.Key, api.Client)
				continue
			}
			table, err := generate(data[at], out, api.Client)
			if err != nil {
				return fmt.Errorf("generating %s: %w", api.Client, err)
			}
			if table.Signing != api.SigningName {
				return fmt.Errorf("%s is signed for %s, not %s as the catalog says", api.Client, table.Signing, api.SigningName)
			}
			index.Tables = append(index.Tables, table)
		}
	}
	sort.Slice(index.Tables, func(i, j int) bool { return index.Tables[i].Client < index.Tables[j].Client })
	return write(filepath.Join(out, "index.json.gz"), index)
}

func generate(data, out, client string) (*smithy.Table, error) {
	src, err := read(data, client)
	if err != nil {
		return nil, err
	}
	m := convert(client, src)
	if m.Source, err = sourceOf(data, src); err != nil {
		return nil, err
	}
	table := &smithy.Table{Head: m.Head}
	for name, op := range m.Operations {
		table.Routes = append(table.Routes, smithy.Route{Name: name, Method: op.Method, URI: op.URI})
	}
	sort.Slice(table.Routes, func(i, j int) bool { return table.Routes[i].Name < table.Routes[j].Name })
	return table, write(filepath.Join(out, client+".json.gz"), m)
}

// sourceOf names the SDK and the version that a model is from.
func sourceOf(data string, src *source) (string, error) {
	if src.Metadata.Source != "" {
		return src.Metadata.Source, nil
	}
	about, err := os.ReadFile(filepath.Join(data, "..", "__init__.py"))
	if err != nil {
		return "", err
	}
	found := version.FindSubmatch(about)
	if found == nil {
		return "", fmt.Errorf("no version in %s", filepath.Join(data, "..", "__init__.py"))
	}
	return "botocore " + string(found[1]), nil
}

func write(name string, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	var packed bytes.Buffer
	z, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err != nil {
		return err
	}
	if _, err := z.Write(text); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	return os.WriteFile(name, packed.Bytes(), 0o644)
}

// versions are the client's models, packed or not, the oldest first.
func versions(data, client string) ([]string, error) {
	files, err := filepath.Glob(filepath.Join(data, client, "*", "service-2.json*"))
	sort.Strings(files)
	return files, err
}

// read reads the newest version of the client's model.
func read(data, client string) (*source, error) {
	files, err := versions(data, client)
	if err != nil || len(files) == 0 {
		return nil, fmt.Errorf("no model in %s: %v", filepath.Join(data, client), err)
	}
	name := files[len(files)-1]
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var r io.Reader = f
	if filepath.Ext(name) == ".gz" {
		if r, err = gzip.NewReader(f); err != nil {
			return nil, err
		}
	}
	var src source
	return &src, json.NewDecoder(r).Decode(&src)
}

func convert(client string, src *source) *smithy.Model {
	m := &smithy.Model{
		Head: smithy.Head{
			Client: client, Version: src.Metadata.APIVersion, Protocol: src.Metadata.Protocol,
			JSONVersion: src.Metadata.JSONVersion, Target: src.Metadata.TargetPrefix, Signing: src.Metadata.SigningName,
		},
		Operations: map[string]*smithy.Operation{}, Shapes: map[string]*smithy.Shape{}, Errors: map[string]int{},
	}
	switch m.Protocol {
	case "rest-json":
		m.JSONVersion, m.Target = "", ""
	case "smithy-rpc-v2-cbor":
		m.Protocol = "json" // clients of older SDKs speak it, and all services of that protocol are served in CBOR too
	}
	if m.Signing == "" {
		m.Signing = src.Metadata.Endpoint
	}
	for name, o := range src.Operations {
		op := &smithy.Operation{Method: o.HTTP.Method, URI: o.HTTP.RequestURI, InputName: o.Input.Shape, OutputName: o.Output.Shape}
		if c := o.HTTP.ResponseCode; c != 200 {
			op.Status = c
		}
		for _, e := range o.Errors {
			shape := src.Shapes[e.Shape]
			code, status := shape.Error.Code, shape.Error.Status
			if code == "" {
				code = e.Shape
			}
			if status == 0 {
				status = 400
			}
			op.Errors = append(op.Errors, code)
			m.Errors[code] = status
		}
		sort.Strings(op.Errors)
		m.Operations[name] = op
		for _, root := range []string{o.Input.Shape, o.Output.Shape} {
			keep(m, src, root)
		}
	}
	return m
}

// keep copies the shape and all it leads to.
func keep(m *smithy.Model, src *source, name string) {
	if name == "" || m.Shapes[name] != nil {
		return
	}
	in := src.Shapes[name]
	s := &smithy.Shape{
		Type: in.Type, Required: in.Required, Enum: in.Enum, Pattern: in.Pattern, Payload: in.Payload, Sensitive: in.Sensitive,
		Format: in.TimestampFormat, Document: in.Document, Union: in.Union, EventStream: in.EventStream, Event: in.Event,
		Exception: in.Exception, Min: in.Min, Max: in.Max,
	}
	m.Shapes[name] = s
	for _, item := range []*sourceMember{in.Member, in.Value} {
		if item != nil {
			s.ItemName = item.Shape
			keep(m, src, item.Shape)
		}
	}
	names := make([]string, 0, len(in.Members))
	for member := range in.Members {
		names = append(names, member)
	}
	sort.Strings(names)
	for _, member := range names {
		v := in.Members[member]
		s.Members = append(s.Members, smithy.Member{
			Name: member, ShapeName: v.Shape, In: v.Location, Wire: v.LocationName, Format: v.TimestampFormat,
			Sensitive: v.Sensitive, Token: v.IdempotentToken, Payload: v.EventPayload, JSON: v.JSON,
		})
		keep(m, src, v.Shape)
	}
}
