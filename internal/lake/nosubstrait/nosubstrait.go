// Package nosubstrait keeps a library of iceberg-go's from reading its tables when a program starts.
//
// To evaluate filters over Arrow data, iceberg-go's table package has Substrait's default functions, 200 kB of YAML that it
// reads as it is initialised: most of the processor time that `aitrail version` took. The lake never has
// iceberg-go read rows. A program that imports this package has no default functions, and a filter over Arrow data is an error that
// names the function.
//
// It works because of the order in which packages are initialised, which the language defines: of those whose imports are all
// initialised, the first by import path. This package imports nothing but what the variable is of, and stands before
// github.com/apache/iceberg-go. A test says if that, or the variable, is no longer so.
// See docs/decisions/0018-no-substrait.md.
package nosubstrait

import (
	"strings"
	"sync"
	_ "unsafe" // for go:linkname

	"github.com/substrait-io/substrait-go/v8/extensions"
)

// getDefaultCollectionOnce is the variable by which substrait-go reads its default functions once.
//
//go:linkname getDefaultCollectionOnce github.com/substrait-io/substrait-go/v8/extensions.getDefaultCollectionOnce
var getDefaultCollectionOnce func() (*extensions.Collection, error)

func init() {
	getDefaultCollectionOnce = sync.OnceValues(func() (*extensions.Collection, error) {
		c := new(extensions.Collection) // of use only when something was loaded
		return c, c.Load("extension:aitrail:none", strings.NewReader("urn: extension:aitrail:none"))
	})
}
