// Package laketest has an Iceberg REST catalog for tests. It keeps its tables in memory and writes no files.
package laketest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"

	"github.com/apache/iceberg-go/table"
	"github.com/google/uuid"
)

// Catalog is a REST catalog. Its methods may be called concurrently.
type Catalog struct {
	Token string // that requests must bring; "" for none

	mu         sync.Mutex
	namespaces map[string]bool
	tables     map[string]entry // by namespace and name
}

type entry struct {
	Location string         `json:"metadata-location"`
	Metadata table.Metadata `json:"metadata"`
}

// ServeHTTP implements http.Handler: configuration, namespaces, and tables as far as loading them and committing go.
func (c *Catalog) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.namespaces == nil {
		c.namespaces, c.tables = map[string]bool{}, map[string]entry{}
	}
	parts := strings.Split(strings.TrimPrefix(r.URL.Path, "/v1/"), "/")
	switch {
	case c.Token != "" && r.Header.Get("Authorization") != "Bearer "+c.Token:
		fail(w, http.StatusUnauthorized, "NotAuthorizedException", "not with these credentials")
	case r.URL.Path == "/v1/config":
		answer(w, map[string]any{"defaults": map[string]string{}, "overrides": map[string]string{}})
	case len(parts) == 1 && r.Method == http.MethodPost:
		var in struct{ Namespace []string }
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
			fail(w, http.StatusBadRequest, "BadRequestException", err.Error())
			return
		}
		c.namespaces[strings.Join(in.Namespace, "\x1f")] = true
		answer(w, map[string]any{"namespace": in.Namespace})
	case len(parts) == 4 && !c.namespaces[parts[1]]:
		fail(w, http.StatusNotFound, "NoSuchNamespaceException", "no namespace "+parts[1])
	case len(parts) == 4 && r.Method == http.MethodGet:
		c.load(w, parts[1]+"/"+parts[3])
	case len(parts) == 4 && r.Method == http.MethodPost:
		c.commit(w, r, parts[1]+"/"+parts[3])
	default:
		fail(w, http.StatusNotFound, "NoSuchEndpoint", r.Method+" "+r.URL.Path)
	}
}

func (c *Catalog) load(w http.ResponseWriter, name string) {
	t, ok := c.tables[name]
	if !ok {
		fail(w, http.StatusNotFound, "NoSuchTableException", "no table "+name)
		return
	}
	answer(w, t)
}

func (c *Catalog) commit(w http.ResponseWriter, r *http.Request, name string) {
	var in struct {
		Requirements table.Requirements
		Updates      table.Updates
	}
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		fail(w, http.StatusBadRequest, "BadRequestException", err.Error())
		return
	}
	t, there := c.tables[name]
	for _, q := range in.Requirements {
		switch {
		case !there && q.GetType() != table.AssertCreate().GetType():
			fail(w, http.StatusNotFound, "NoSuchTableException", "no table "+name)
			return
		case q.Validate(t.Metadata) != nil:
			fail(w, http.StatusConflict, "CommitFailedException", q.Validate(t.Metadata).Error())
			return
		}
	}
	meta, err := updated(t, in.Updates)
	if err != nil {
		fail(w, http.StatusBadRequest, "BadRequestException", err.Error())
		return
	}
	t = entry{fmt.Sprintf("%s/metadata/%05d-%s.metadata.json", meta.Location(), len(c.tables), uuid.New()), meta}
	c.tables[name] = t
	answer(w, t)
}

func updated(t entry, updates []table.Update) (table.Metadata, error) {
	if t.Metadata != nil {
		return table.UpdateTableMetadata(t.Metadata, updates, t.Location)
	}
	b, err := table.NewMetadataBuilder(2)
	if err != nil {
		return nil, err
	}
	for _, u := range updates {
		if err := u.Apply(b); err != nil {
			return nil, err
		}
	}
	return b.Build()
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // who doesn't read it has gone
}

func fail(w http.ResponseWriter, status int, kind, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"error": map[string]any{"message": message, "type": kind, "code": status}})
}
