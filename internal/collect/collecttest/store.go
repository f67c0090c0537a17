// Package collecttest has a source of log files in memory, with the faults that buckets have.
package collecttest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing/iotest"

	"github.com/aitrail/aitrail/internal/object"
)

// Object is an object and what goes wrong with it.
type Object struct {
	Body      []byte
	ETag      string
	OpenErr   error // opening fails
	ReadErr   error // reading fails, halfway
	Unlisted  bool  // listed, but deleted before it is opened
	ChangesAt int   // the first so many reads fail with object.ErrChanged
}

// Store is a bucket in memory. Opened counts how often each key was opened.
type Store struct {
	Name    string
	Objects map[string]*Object
	ListErr error  // listing fails
	ListEnd string // before this key; "" at the beginning
	OnRead  func() // called before each read of an object

	mu     sync.Mutex
	opened map[string]int
}

// Opened tells how often a key was opened.
func (s *Store) Opened(key string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.opened[key]
}

// List implements object.Store.
func (s *Store) List(ctx context.Context, prefix, after string) iter.Seq2[object.Info, error] {
	return func(yield func(object.Info, error) bool) {
		for _, key := range slices.Sorted(maps.Keys(s.Objects)) {
			if s.ListErr != nil && key >= s.ListEnd {
				yield(object.Info{}, s.ListErr)
				return
			}
			if !strings.HasPrefix(key, prefix) || key <= after {
				continue
			}
			if !yield(s.info(key), nil) {
				return
			}
		}
	}
}

func (s *Store) info(key string) object.Info {
	o := s.Objects[key]
	return object.Info{Key: key, Size: int64(len(o.Body)), ETag: o.ETag}
}

// Open implements object.Store.
func (s *Store) Open(ctx context.Context, key string) (io.ReadCloser, object.Object, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.opened == nil {
		s.opened = map[string]int{}
	}
	s.opened[key]++
	o := s.Objects[key]
	switch {
	case o == nil || o.Unlisted:
		return nil, object.Object{}, fmt.Errorf("%s: %w", s.URL(key), object.ErrNotExist)
	case o.OpenErr != nil:
		return nil, object.Object{}, o.OpenErr
	}
	var body io.Reader = bytes.NewReader(o.Body)
	switch {
	case o.ReadErr != nil:
		body = io.MultiReader(bytes.NewReader(o.Body[:len(o.Body)/2]), iotest.ErrReader(o.ReadErr))
	case s.opened[key] <= o.ChangesAt:
		body = io.MultiReader(bytes.NewReader(o.Body[:len(o.Body)/2]), iotest.ErrReader(object.ErrChanged))
	}
	if s.OnRead != nil {
		body = watched{body, s.OnRead}
	}
	return io.NopCloser(body), object.Object{Info: s.info(key)}, nil
}

// watched tells of each read.
type watched struct {
	io.Reader
	onRead func()
}

func (w watched) Read(b []byte) (int, error) {
	w.onRead()
	return w.Reader.Read(b)
}

// Create implements object.Store: it refuses, as nothing that collects may write to a source.
func (s *Store) Create(context.Context, string, []byte) error {
	return errors.New("collecting wrote to its source")
}

// URL implements object.Store.
func (s *Store) URL(key string) string { return "s3://" + s.Name + "/" + key }
