// Command gen writes the API models that package smithy embeds, from botocore's.
//
//	BOTOCORE_DATA=…/site-packages/botocore/data go generate ./internal/endpoint/ai/smithy
//
// A client's newest version is taken, whole but for its prose: documentation, examples, paginators and what only clients
// need are left out. botocore is under the Apache License 2.0; what is kept of it are the facts of the interface.
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
	"sort"

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
	}
	Operations map[string]struct {
		HTTP struct {
			Method       string
			RequestURI   string `json:"requestUri"`
			ResponseCode int    `json:"responseCode"`
		} `json:"http"`
		Input, Output struct{ Shape string }
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
}

func main() {
	log.SetFlags(0)
	data := flag.String("botocore", "", "botocore's data folder")
	out := flag.String("out", "models", "folder to write to")
	flag.Parse()
	if *data == "" {
		log.Print("BOTOCORE_DATA is not set: the API models stay as they are")
		return
	}
	for _, client := range flag.Args() {
		if err := generate(*data, *out, client); err != nil {
			log.Fatalf("generating %s: %v", client, err)
		}
	}
}

func generate(data, out, client string) error {
	src, err := read(data, client)
	if err != nil {
		return err
	}
	text, err := json.Marshal(convert(client, src))
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
	return os.WriteFile(filepath.Join(out, client+".json.gz"), packed.Bytes(), 0o644)
}

// read finds the newest version of the client's model, packed or not.
func read(data, client string) (*source, error) {
	files, err := filepath.Glob(filepath.Join(data, client, "*", "service-2.json*"))
	if err != nil || len(files) == 0 {
		return nil, fmt.Errorf("no model in %s: %v", filepath.Join(data, client), err)
	}
	sort.Strings(files)
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
		Client: client, Version: src.Metadata.APIVersion, Protocol: src.Metadata.Protocol,
		JSONVersion: src.Metadata.JSONVersion, Target: src.Metadata.TargetPrefix, Signing: src.Metadata.SigningName,
		Operations: map[string]*smithy.Operation{}, Shapes: map[string]*smithy.Shape{},
	}
	if m.Signing == "" {
		m.Signing = src.Metadata.Endpoint
	}
	for name, o := range src.Operations {
		op := &smithy.Operation{Method: o.HTTP.Method, URI: o.HTTP.RequestURI, InputName: o.Input.Shape, OutputName: o.Output.Shape}
		if c := o.HTTP.ResponseCode; c != 200 {
			op.Status = c
		}
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
			Sensitive: v.Sensitive, Token: v.IdempotentToken, Payload: v.EventPayload,
		})
		keep(m, src, v.Shape)
	}
}
