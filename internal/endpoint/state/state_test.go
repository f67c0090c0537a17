package state_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/aitrail/aitrail/internal/endpoint/state"
)

type user struct {
	Name string
	Age  int
}

func open(t *testing.T, path string) *state.Store {
	t.Helper()
	s, err := state.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestStoreKeepsValuesOverReopening(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	s := open(t, path)
	for i, name := range []string{"b", "a", "ab", "c"} {
		if err := s.Put("users", name, user{name, i}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Delete("users", "c"); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	s = open(t, path)
	var u user
	found, err := s.Get("users", "ab", &u)
	if err != nil || !found || u != (user{"ab", 2}) {
		t.Errorf("Get(ab) = %v, %v, %v", u, found, err)
	}
	for _, missing := range [][2]string{{"users", "c"}, {"nothing", "a"}} {
		if found, err := s.Get(missing[0], missing[1], &u); found || err != nil {
			t.Errorf("Get(%q) = %v, %v; want nothing", missing, found, err)
		}
	}
	got, err := state.List[user](s, "users", "a")
	want := []state.Entry[user]{{"a", user{"a", 1}}, {"ab", user{"ab", 2}}}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("List: %v\n%s", err, diff)
	}
}

func TestUpdateIsAllOrNothing(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "state.db"))
	boom := errors.New("boom")
	err := s.Update(func(tx *state.Tx) error {
		if err := tx.Put("a", "k", 1); err != nil {
			return err
		}
		if err := tx.Put("b", "k", 2); err != nil {
			return err
		}
		var v int
		if found, err := tx.Get("a", "k", &v); !found || err != nil || v != 1 {
			t.Errorf("inside the transaction: %d, %v, %v", v, found, err)
		}
		return boom
	})
	if !errors.Is(err, boom) {
		t.Fatalf("Update = %v, want %v", err, boom)
	}
	var v int
	for _, bucket := range []string{"a", "b"} {
		if found, err := s.Get(bucket, "k", &v); found || err != nil {
			t.Errorf("bucket %s after a failed update: %v, %v", bucket, found, err)
		}
	}
}

func TestStoreRefuses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	s := open(t, path)
	if err := s.Put("b", "k", make(chan int)); err == nil {
		t.Error("a value that has no JSON was stored")
	}
	if err := s.Put("b", "", 1); err == nil {
		t.Error("an empty key was stored")
	}
	if err := s.Put("b", "k", "text"); err != nil {
		t.Fatal(err)
	}
	var n int
	if found, err := s.Get("b", "k", &n); !found || err == nil {
		t.Errorf("text decoded as a number: %v, %v", found, err)
	}
	if _, err := state.List[int](s, "b", ""); err == nil {
		t.Error("text listed as a number")
	}
	if _, err := state.Open(filepath.Join(path, "below")); err == nil {
		t.Error("opened a file below a file")
	}
	if _, err := state.Open(path); !errors.Is(err, state.ErrLocked) {
		t.Errorf("second Open = %v, want ErrLocked", err)
	}
}

func TestEachStartsWhereTold(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "state.db"))
	for i := range 5 {
		if err := s.Put("b", fmt.Sprintf("p/%d", i), i); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Put("b", "q/0", 9); err != nil {
		t.Fatal(err)
	}
	var got []string
	err := s.View(func(tx *state.Tx) error {
		return tx.Each("b", "p/", "p/3", func(key string, _ func(any) error) error {
			got = append(got, key)
			return nil
		})
	})
	if diff := cmp.Diff([]string{"p/3", "p/4"}, got); diff != "" || err != nil {
		t.Errorf("Each: %v\n%s", err, diff)
	}
}

func TestStoreConcurrently(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "state.db"))
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 5 {
				if err := s.Put("b", fmt.Sprintf("%d/%d", i, j), j); err != nil {
					t.Error(err)
				}
				if _, err := state.List[int](s, "b", fmt.Sprintf("%d/", i)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if got, err := state.List[int](s, "b", ""); len(got) != 40 || err != nil {
		t.Errorf("%d entries, %v; want 40", len(got), err)
	}
}
