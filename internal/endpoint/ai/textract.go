package ai

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// textract is Amazon Textract's operations.
func (b *backend) textract() map[string]*rule {
	return map[string]*rule{
		"DetectDocumentText":         {serve: b.detectDocumentText},
		"AnalyzeDocument":            {serve: b.analyzeDocument},
		"StartDocumentTextDetection": {serve: b.startDetection},
		"GetDocumentTextDetection":   {serve: b.getDetection},
	}
}

// largestDocument is what Textract takes in a request.
const largestDocument = 10 << 20

// document reads and checks a document member.
func (b *backend) document(c *call, v any) (content, error) {
	document, ok := b.load(c.Request.Context(), v)
	switch {
	case !ok:
		return content{}, fail("InvalidS3ObjectException", 400, "Unable to get object metadata from S3. Check object key, region and/or access permissions.")
	case document.key == "":
		return content{}, fail("InvalidParameterException", 400, "Request has invalid parameters")
	case len(document.bytes) > largestDocument:
		return content{}, fail("DocumentTooLargeException", 400, "Document size exceeds the maximum allowed size of 10 MB.")
	case document.bytes != nil && format(document.bytes) == "":
		return content{}, fail("UnsupportedDocumentException", 400, "Request has unsupported document format")
	}
	return document, nil
}

// reader lays out the lines of a page as Textract's blocks.
type reader struct {
	key    string
	blocks []any
}

func (r *reader) block(kind string, n int, more obj) obj {
	return with(more, obj{"BlockType": kind, "Id": uuid(r.key, kind, fmt.Sprint(n)), "Page": 1})
}

func children(ids []any) []any { return []any{obj{"Type": "CHILD", "Ids": ids}} }

// page writes the page, its lines and their words.
func (r *reader) page(lines []string) {
	var words, lineIDs []any
	var lineBlocks []any
	count := 0
	for i, line := range lines {
		top := .08 + .84*float64(i)/float64(len(lines))
		var ids []any
		for j, word := range strings.Fields(line) {
			w := r.block("WORD", count, obj{"Text": word, "TextType": "PRINTED", "Confidence": between(97, 99.9, word), "Geometry": geometry(.1+.09*float64(j%9), top, .08, .03)})
			words, ids = append(words, w), append(ids, w["Id"])
			count++
		}
		l := r.block("LINE", i, obj{"Text": line, "Confidence": between(97, 99.9, line), "Geometry": geometry(.1, top, .7, .03), "Relationships": children(ids)})
		lineBlocks, lineIDs = append(lineBlocks, l), append(lineIDs, l["Id"])
	}
	page := r.block("PAGE", 0, obj{"Geometry": geometry(0, 0, 1, 1), "Relationships": children(lineIDs)})
	r.blocks = append(append(append(r.blocks, page), lineBlocks...), words...)
}

// forms writes a key and a value for each line of the form "Key: value".
func (r *reader) forms(lines []string) {
	for i, line := range lines {
		key, value, found := strings.Cut(line, ":")
		if !found {
			continue
		}
		top := .08 + .84*float64(i)/float64(len(lines))
		set := func(n int, entity, words string, left float64) obj {
			w := r.block("WORD", 10_000+n, obj{"Text": words, "TextType": "PRINTED", "Confidence": between(95, 99, words), "Geometry": geometry(left, top, .2, .03)})
			r.blocks = append(r.blocks, w)
			return r.block("KEY_VALUE_SET", n, obj{"EntityTypes": []any{entity}, "Confidence": 96.4, "Geometry": geometry(left, top, .2, .03), "Relationships": children([]any{w["Id"]})})
		}
		k, v := set(2*i, "KEY", strings.TrimSpace(key), .1), set(2*i+1, "VALUE", strings.TrimSpace(value), .35)
		k["Relationships"] = append(list(k, "Relationships"), obj{"Type": "VALUE", "Ids": []any{v["Id"]}})
		r.blocks = append(r.blocks, k, v)
	}
}

// table writes one table of the lines' two columns.
func (r *reader) table(lines []string) {
	var cells []any
	var ids []any
	for i, line := range lines {
		key, value, _ := strings.Cut(line, ":")
		for j, words := range []string{key, strings.TrimSpace(value)} {
			cell := r.block("CELL", 2*i+j, obj{"RowIndex": i + 1, "ColumnIndex": j + 1, "RowSpan": 1, "ColumnSpan": 1, "Confidence": between(90, 99, words, "cell"),
				"Geometry": geometry(.1+.3*float64(j), .08+.84*float64(i)/float64(len(lines)), .3, .04)})
			cells, ids = append(cells, cell), append(ids, cell["Id"])
		}
	}
	r.blocks = append(append(r.blocks, r.block("TABLE", 0, obj{"Confidence": 97.2, "Geometry": geometry(.1, .08, .6, .84), "Relationships": children(ids)})), cells...)
}

// queries answers each question with the line that names what it asks for.
func (r *reader) queries(asked []any, lines []string) {
	for i, q := range asked {
		question := text(q, "Text")
		answer := ""
		for _, line := range lines {
			key, value, found := strings.Cut(line, ":")
			if found && strings.Contains(strings.ToLower(question), strings.ToLower(key)) {
				answer = strings.TrimSpace(value)
			}
		}
		query := r.block("QUERY", i, obj{"Query": keep(object(q), "Text", "Alias", "Pages")})
		if answer != "" {
			result := r.block("QUERY_RESULT", i, obj{"Text": answer, "Confidence": 95.0})
			query["Relationships"] = []any{obj{"Type": "ANSWER", "Ids": []any{result["Id"]}}}
			r.blocks = append(r.blocks, query, result)
			continue
		}
		r.blocks = append(r.blocks, query)
	}
}

func (b *backend) detectDocumentText(c *call) (obj, error) {
	document, err := b.document(c, c.in["Document"])
	if err != nil {
		return nil, err
	}
	r := &reader{key: document.key}
	r.page(document.seen())
	return obj{"DocumentMetadata": obj{"Pages": 1}, "Blocks": r.blocks, "DetectDocumentTextModelVersion": "1.0"}, nil
}

func (b *backend) analyzeDocument(c *call) (obj, error) {
	document, err := b.document(c, c.in["Document"])
	if err != nil {
		return nil, err
	}
	features := texts(c.in, "FeatureTypes")
	asked := list(c.in, "QueriesConfig", "Queries")
	if slices.Contains(features, "QUERIES") != (len(asked) > 0) {
		return nil, fail("InvalidParameterException", 400, "Request has invalid parameters")
	}
	lines := document.seen()
	r := &reader{key: document.key}
	r.page(lines)
	if slices.Contains(features, "FORMS") {
		r.forms(lines)
	}
	if slices.Contains(features, "TABLES") {
		r.table(lines)
	}
	r.queries(asked, lines)
	return obj{"DocumentMetadata": obj{"Pages": 1}, "Blocks": r.blocks, "AnalyzeDocumentModelVersion": "1.0"}, nil
}

// detectionTime is how long a job runs.
const detectionTime = 3 * time.Second

func (b *backend) startDetection(c *call) (obj, error) {
	if _, err := b.document(c, c.in["DocumentLocation"]); err != nil {
		return nil, err
	}
	seed := c.ID
	if token := text(c.in, "ClientRequestToken"); token != "" { // the same token again is the same job
		seed = token
	}
	sum := digest(seed, "textract")
	r := &resource{ID: fmt.Sprintf("%x", sum[:]), Config: keep(c.in, "DocumentLocation")}
	if _, err := b.create(c, textJobs, r); err != nil {
		return nil, err
	}
	return obj{"JobId": r.ID}, nil
}

func (b *backend) getDetection(c *call) (obj, error) {
	r, err := b.get(c, textJobs, text(c.in, "JobId"))
	if err != nil {
		return nil, err
	}
	if r == nil {
		return nil, fail("InvalidJobIdException", 400, "Request has invalid Job Id")
	}
	if c.Time.Before(r.Created.Add(detectionTime)) {
		return obj{"JobStatus": "IN_PROGRESS", "DetectDocumentTextModelVersion": "1.0"}, nil
	}
	document, err := b.document(c, r.Config["DocumentLocation"])
	if err != nil {
		return obj{"JobStatus": "FAILED", "StatusMessage": err.Error(), "DetectDocumentTextModelVersion": "1.0"}, nil
	}
	pages := &reader{key: document.key}
	pages.page(document.seen())
	items, next := page(c, pages.blocks, 1000, "MaxResults", "NextToken", func(v any) string { return text(v, "Id") })
	out := obj{"JobStatus": "SUCCEEDED", "DocumentMetadata": obj{"Pages": 1}, "Blocks": items, "DetectDocumentTextModelVersion": "1.0"}
	if next != "" {
		out["NextToken"] = next
	}
	return out, nil
}
