// Package objecttest holds the test that every implementation of object.Store passes, and takes the settings for AWS out of tests.
package objecttest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/aitrail/aitrail/internal/object"
	"github.com/google/go-cmp/cmp"
)

// Run tests a store; empty makes one without objects.
func Run(t *testing.T, empty func(t *testing.T) object.Store) {
	t.Run("list", func(t *testing.T) { list(t, empty(t)) })
	t.Run("list nothing", func(t *testing.T) { listNothing(t, empty(t)) })
	t.Run("list many", func(t *testing.T) { listMany(t, empty(t)) })
	t.Run("dirs", func(t *testing.T) { dirs(t, empty(t)) })
	t.Run("open", func(t *testing.T) { open(t, empty(t)) })
	t.Run("keys from outside", func(t *testing.T) { outside(t, empty(t)) })
	t.Run("create", func(t *testing.T) { create(t, empty(t)) })
	t.Run("create at once", func(t *testing.T) { createAtOnce(t, empty(t)) })
	t.Run("canceled", func(t *testing.T) { canceled(t, empty(t)) })
}

// Fill creates objects that hold their keys.
func Fill(t *testing.T, s object.Store, keys ...string) {
	t.Helper()
	for _, key := range keys {
		if err := s.Create(t.Context(), key, []byte(key)); err != nil {
			t.Fatal(err)
		}
	}
}

// Keys lists a store.
func Keys(t *testing.T, s object.Store, prefix, after string) []string {
	t.Helper()
	var keys []string
	for info, err := range s.List(t.Context(), prefix, after) {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, info.Key)
	}
	return keys
}

// Read reads an object.
func Read(t *testing.T, s object.Store, key string) string {
	t.Helper()
	r, _, err := s.Open(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// The keys' order isn't that of a walk by file names: "-" and "." come before "/", "0" after it.
var keys = []string{
	"a", "a b/ü.json.gz", "a-b/1", "a.b", "a/1", "a/10/x", "a/2", "a/b/c", "a0/1", "b/1", "b/2", "c",
}

func list(t *testing.T, s object.Store) {
	keys := slices.DeleteFunc(slices.Clone(keys), func(key string) bool { return key == "a" }) // no file in a folder can be
	mixed := append(slices.Clone(keys[5:]), keys[:5]...)
	Fill(t, s, mixed...)
	slices.Sort(keys)
	for _, prefix := range []string{"", "a", "a/", "a/1", "a/1/", "a/10", "a/10/x", "a/10/xy", "b/", "d", "d/", "a-b/", "a ", "c/"} {
		for _, after := range append([]string{"", "0", "a", "a/", "a/1", "a/1/", "a/10", "a/b", "a/b/", "a/zz", "a0", "z"}, keys...) {
			var want []string
			for _, key := range keys {
				if strings.HasPrefix(key, prefix) && key > after {
					want = append(want, key)
				}
			}
			if diff := cmp.Diff(want, Keys(t, s, prefix, after)); diff != "" {
				t.Errorf("list of %q after %q (-want +got):\n%s", prefix, after, diff)
			}
			first, err := object.First(t.Context(), s, prefix, after)
			if err != nil || first.Key != append(want, "")[0] {
				t.Errorf("first of %q after %q = %q, %v; want the first of %q", prefix, after, first.Key, err, want)
			}
		}
	}
	for info, err := range s.List(t.Context(), "a", "") {
		if err != nil || info.Size != int64(len(info.Key)) || info.ETag == "" || strings.Contains(info.ETag, `"`) || info.Modified.IsZero() {
			t.Errorf("info = %+v, %v", info, err)
		}
		break // a listing can be left
	}
}

func listNothing(t *testing.T, s object.Store) {
	for _, prefix := range []string{"", "a", "a/b/", "../", "/", "a//b"} {
		if got := Keys(t, s, prefix, ""); got != nil {
			t.Errorf("list of %q = %q", prefix, got)
		}
	}
}

func listMany(t *testing.T, s object.Store) {
	var want []string
	for i := range 1200 { // more than a page of S3's
		want = append(want, fmt.Sprintf("d/%04d", i))
	}
	Fill(t, s, want...)
	if diff := cmp.Diff(want, Keys(t, s, "", "")); diff != "" {
		t.Errorf("list (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want[1101:], Keys(t, s, "d/", "d/1100")); diff != "" {
		t.Errorf("list after (-want +got):\n%s", diff)
	}
}

// hidden is a store of which only Store's methods are known.
type hidden struct{ object.Store }

func dirs(t *testing.T, s object.Store) {
	Fill(t, s, "a-b/1", "a/b/c", "a/b/d", "a/c", "a/d/e", "a0/1", "b")
	for prefix, want := range map[string][]string{
		"": {"a-b/", "a/", "a0/"}, "a/": {"a/b/", "a/d/"}, "a/b/": nil, "a/c/": nil, "x/": nil, "../": nil,
	} {
		for _, s := range []object.Store{s, hidden{s}} {
			got, err := object.Dirs(t.Context(), s, prefix)
			if diff := cmp.Diff(want, got); diff != "" || err != nil {
				t.Errorf("dirs of %q in %T: %v (-want +got):\n%s", prefix, s, err, diff)
			}
		}
	}
}

func open(t *testing.T, s object.Store) {
	body := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	if err := s.Create(t.Context(), "a/b", body); err != nil {
		t.Fatal(err)
	}
	Fill(t, s, "a/empty")
	r, o, err := s.Open(t.Context(), "a/b")
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(r)
	if err != nil || !bytes.Equal(got, body) {
		t.Errorf("read %d bytes, %v, want %d", len(got), err, len(body))
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	for info, err := range s.List(t.Context(), "a/b", "") {
		if err != nil {
			t.Fatal(err)
		}
		info.Modified, o.Modified = info.Modified.Truncate(1e9), o.Modified.Truncate(1e9) // HTTP's dates have seconds
		if diff := cmp.Diff(info, o.Info); diff != "" {
			t.Errorf("info of listing and opening differ (-list +open):\n%s", diff)
		}
	}
	for _, key := range []string{"a", "a/b/c", "b", ""} {
		if r, _, err := s.Open(t.Context(), key); !errors.Is(err, object.ErrNotExist) {
			t.Errorf("Open(%q) = %v, %v, want ErrNotExist", key, r, err)
		}
	}
	if got, want := s.URL("a/b"), s.URL("")+"a/b"; got != want {
		t.Errorf("URL = %s, want %s", got, want)
	}
}

// outside opens keys that digests could name and that must not lead anywhere.
func outside(t *testing.T, s object.Store) {
	Fill(t, s, "a/b")
	for _, key := range []string{"../a", "a/../../x", "/etc/passwd", "a//b", "./a/b", "a/./b", "a/", "..", "."} {
		if r, _, err := s.Open(t.Context(), key); !errors.Is(err, object.ErrNotExist) {
			t.Errorf("Open(%q) = %v, %v, want ErrNotExist", key, r, err)
		}
	}
}

func create(t *testing.T, s object.Store) {
	Fill(t, s, "a/b/c", "a/b/empty")
	if err := s.Create(t.Context(), "a/b/c", []byte("another")); !errors.Is(err, object.ErrExist) {
		t.Errorf("creating again: %v, want ErrExist", err)
	}
	if got := Read(t, s, "a/b/c"); got != "a/b/c" {
		t.Errorf("object = %q", got)
	}
	if err := s.Create(t.Context(), "a/b/nothing", nil); err != nil {
		t.Error(err)
	}
	if got := Read(t, s, "a/b/nothing"); got != "" {
		t.Errorf("object = %q", got)
	}
	if got, want := Keys(t, s, "", ""), []string{"a/b/c", "a/b/empty", "a/b/nothing"}; !slices.Equal(got, want) {
		t.Errorf("keys = %q, want %q", got, want)
	}
}

// createAtOnce has several writers create one object: one must win, and its bytes must stand.
func createAtOnce(t *testing.T, s object.Store) {
	results := make([]error, 8)
	var group sync.WaitGroup
	for i := range results {
		group.Go(func() { results[i] = s.Create(t.Context(), "x/y", bytes.Repeat([]byte{byte('0' + i)}, 1000)) })
	}
	group.Wait()
	winner := -1
	for i, err := range results {
		switch {
		case err == nil && winner < 0:
			winner = i
		case !errors.Is(err, object.ErrExist):
			t.Errorf("writer %d: %v, writer %d won", i, err, winner)
		}
	}
	if winner < 0 {
		t.Fatal("no writer won")
	}
	if got, want := Read(t, s, "x/y"), strings.Repeat(fmt.Sprint(winner), 1000); got != want {
		t.Errorf("object = %.10q…, want that of writer %d", got, winner)
	}
}

func canceled(t *testing.T, s object.Store) {
	Fill(t, s, "a/b")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := s.Open(ctx, "a/b"); !errors.Is(err, context.Canceled) {
		t.Errorf("Open: %v", err)
	}
	if err := s.Create(ctx, "a/c", nil); !errors.Is(err, context.Canceled) {
		t.Errorf("Create: %v", err)
	}
	n := 0
	for _, err := range s.List(ctx, "", "") {
		if n++; !errors.Is(err, context.Canceled) {
			t.Errorf("List: %v", err)
		}
	}
	if n != 1 {
		t.Errorf("a canceled listing yields %d times, want 1", n)
	}
	if got := Keys(t, s, "", ""); !slices.Equal(got, []string{"a/b"}) {
		t.Errorf("keys = %q", got)
	}
}
