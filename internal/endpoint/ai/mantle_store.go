package ai

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/aitrail/aitrail/internal/endpoint/awsapi"
	"github.com/aitrail/aitrail/internal/endpoint/state"
)

// What follows is what the Mantle keeps: projects, files, fine-tuning jobs and responses, in OpenAI's shapes, which are the
// ones that AWS points to (https://docs.aws.amazon.com/bedrock/latest/userguide/projects.html).

// keptRoute is a route to something that is kept: its path's last parts are matched, "*" being an id.
type keptRoute struct{ method, path, operation, kind string }

// keptRoutes are the routes to what is kept.
func keptRoutes() []keptRoute {
	const projects, files, jobs, responses = "/v1/organization/projects", "/v1/files", "/v1/fine_tuning/jobs", "/v1/responses"
	return []keptRoute{
		{"GET", projects, "ListProjects", "project"}, {"POST", projects, "CreateProject", "project"},
		{"GET", projects + "/*", "GetProject", "project"}, {"POST", projects + "/*", "UpdateProject", "project"},
		{"POST", projects + "/*/archive", "ArchiveProject", "project"},
		{"GET", files, "ListFiles", "file"}, {"POST", files, "CreateFile", "file"}, {"GET", files + "/*", "GetFile", "file"},
		{"GET", files + "/*/content", "GetFile", "file"}, {"DELETE", files + "/*", "DeleteFile", "file"},
		{"GET", jobs, "ListFineTuningJobs", "job"}, {"POST", jobs, "CreateFineTuningJob", "job"}, {"GET", jobs + "/*", "GetFineTuningJob", "job"},
		{"GET", jobs + "/*/events", "GetFineTuningJob", "job"}, {"GET", jobs + "/*/checkpoints", "GetFineTuningJob", "job"},
		{"POST", jobs + "/*/cancel", "CancelFineTuningJob", "job"},
		{"GET", responses + "/*", "GetInference", "response"}, {"POST", responses + "/*/cancel", "CancelInference", "response"},
		{"DELETE", responses + "/*", "DeleteInference", "response"},
	}
}

// keptBy is the route of a request and the id in its path; the route is nil when it is for nothing that is kept.
func keptBy(r *http.Request) (route *keptRoute, id string) {
	for _, route := range keptRoutes() {
		if ok, _ := path.Match(route.path, r.URL.Path); ok && r.Method == route.method { // the patterns are well formed
			before, _, named := strings.Cut(route.path, "*")
			if named {
				id, _, _ = strings.Cut(strings.TrimPrefix(r.URL.Path, before), "/")
			}
			return &route, id
		}
	}
	return nil, ""
}

// keptBucket is the state's bucket; keys are "Region/kind/id".
const keptBucket = "ai.mantle"

// kept is one thing that is kept.
type kept struct {
	Made    time.Time
	Object  obj
	Content []byte `json:",omitempty"` // of files
}

// describeKept adds to a record what a call of what is kept says.
func (m *mantle) describeKept(c *awsapi.Call, route *keptRoute, id string, params obj) obj {
	c.Record.Data = route.kind == "file" || route.kind == "response"
	if id != "" {
		params[map[string]string{"project": "project_id", "file": "file_id", "job": "id", "response": "response_id"}[route.kind]] = id
	}
	switch c.Operation {
	case "CreateProject", "UpdateProject":
		return with(params, keep(m.body(c), "name"))
	case "CreateFineTuningJob":
		return with(params, keep(m.body(c), "model", "training_file", "validation_file", "suffix"))
	}
	return params
}

// serveKept serves a call of what is kept.
func (m *mantle) serveKept(c *awsapi.Call, route *keptRoute, id string) (*awsapi.Response, error) {
	switch {
	case id == "" && c.Request.Method == http.MethodGet:
		return m.listKept(c, route.kind)
	case id == "":
		return m.keepNew(c, route.kind)
	}
	var k kept
	key := c.Region + "/" + route.kind + "/" + id
	found, err := m.b.State.Get(keptBucket, key, &k)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, fail("not_found_error", 404, "No such %s: %s", route.kind, id)
	}
	switch c.Operation {
	case "UpdateProject":
		if name := strings.TrimSpace(text(m.body(c), "name")); name != "" {
			k.Object["name"] = name
		}
		return m.put(c, key, k)
	case "ArchiveProject":
		if k.Object["status"] == "active" {
			k.Object["status"], k.Object["archived_at"] = "archived", c.Time.Unix()
		}
		return m.put(c, key, k)
	case "CancelFineTuningJob":
		if status := k.shown(c)["status"]; status != "queued" && status != "running" {
			return nil, mantleCall(c).invalid("Job %s is %s and can't be cancelled.", id, status)
		}
		k.Object["status"], k.Object["finished_at"] = "cancelled", c.Time.Unix()
		return m.put(c, key, k)
	case "CancelInference":
		return nil, mantleCall(c).invalid("Only responses that run in the background can be cancelled.")
	case "DeleteFile", "DeleteInference":
		if err := m.b.State.Delete(keptBucket, key); err != nil {
			return nil, err
		}
		return plain(obj{"id": id, "object": route.kind, "deleted": true})
	}
	switch path.Base(c.Request.URL.Path) {
	case "content":
		return &awsapi.Response{Header: http.Header{"Content-Type": {"application/octet-stream"}}, Body: k.Content}, nil
	case "events", "checkpoints":
		return plain(obj{"object": "list", "data": []any{}, "has_more": false})
	}
	return plain(k.shown(c))
}

func (m *mantle) put(c *awsapi.Call, key string, k kept) (*awsapi.Response, error) {
	if err := m.b.State.Put(keptBucket, key, k); err != nil {
		return nil, err
	}
	return plain(k.shown(c))
}

// tuningTime is how long a fine-tuning job runs.
const tuningTime = 10 * time.Second

// shown is a thing as it is at the time of a call: jobs go on by themselves.
func (k *kept) shown(c *awsapi.Call) obj {
	end := k.Made.Add(tuningTime)
	if k.Object["object"] != "fine_tuning.job" || k.Object["status"] != "queued" || c.Time.Before(k.Made.Add(tuningTime/5)) {
		return k.Object
	}
	if c.Time.Before(end) {
		return with(k.Object, obj{"status": "running"})
	}
	name := fmt.Sprintf("ft:%s:%s:%s", text(k.Object, "model"), text(k.Object, "suffix"), strings.TrimPrefix(text(k.Object, "id"), "ftjob-"))
	return with(k.Object, obj{"status": "succeeded", "finished_at": end.Unix(), "fine_tuned_model": name})
}

func (m *mantle) listKept(c *awsapi.Call, kind string) (*awsapi.Response, error) {
	entries, err := state.List[kept](m.b.State, keptBucket, c.Region+"/"+kind+"/")
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(entries, func(a, b state.Entry[kept]) int { return b.Value.Made.Compare(a.Value.Made) }) // the newest first
	data := []any{}
	for _, e := range entries {
		purpose := c.Request.URL.Query().Get("purpose")
		if kind == "file" && purpose != "" && purpose != e.Value.Object["purpose"] {
			continue
		}
		data = append(data, e.Value.shown(c))
	}
	return plain(obj{"object": "list", "data": data, "has_more": false})
}

// keepNew makes a project, file or fine-tuning job.
func (m *mantle) keepNew(c *awsapi.Call, kind string) (*awsapi.Response, error) {
	k := kept{Made: c.Time}
	in, invalid := m.body(c), mantleCall(c).invalid
	key := id(24, lowerDigits, kind, c.ID)
	switch kind {
	case "project":
		name := strings.TrimSpace(text(in, "name"))
		if name == "" {
			return nil, invalid("Missing required parameter: 'name'.")
		}
		key = "proj_" + key
		k.Object = obj{"object": "organization.project", "name": name, "status": "active", "archived_at": nil}
	case "file":
		content, name, purpose, ok := upload(c)
		if !ok || purpose == "" {
			return nil, invalid("The request must be a form with the fields 'file' and 'purpose'.")
		}
		key = "file-" + key
		k.Content, k.Object = content, obj{"object": "file", "bytes": len(content), "filename": name, "purpose": purpose, "status": "processed"}
	case "job":
		model, file := text(in, "model"), text(in, "training_file")
		if m.b.foundation(model) == nil {
			return nil, invalid("The model '%s' does not exist or can't be fine-tuned.", model)
		}
		if found, err := m.b.State.Get(keptBucket, c.Region+"/file/"+file, &kept{}); err != nil || !found {
			if err != nil {
				return nil, err
			}
			return nil, invalid("Invalid file: %s", file)
		}
		key = "ftjob-" + key
		k.Object = with(keep(in, "model", "training_file", "validation_file", "suffix", "hyperparameters", "method", "seed", "metadata"), obj{
			"object": "fine_tuning.job", "status": "queued", "fine_tuned_model": nil, "finished_at": nil, "error": nil, "result_files": []any{},
		})
	}
	k.Object["id"], k.Object["created_at"] = key, c.Time.Unix()
	return m.put(c, c.Region+"/"+kind+"/"+key, k)
}

// upload reads a file and its purpose from a form.
func upload(c *awsapi.Call) (content []byte, name, purpose string, ok bool) {
	kind, params, err := mime.ParseMediaType(c.Request.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/form-data" {
		return nil, "", "", false
	}
	parts := multipart.NewReader(bytes.NewReader(c.Body), params["boundary"])
	for {
		part, err := parts.NextPart()
		if err == io.EOF {
			return content, name, purpose, ok
		}
		if err != nil {
			return nil, "", "", false
		}
		b, err := io.ReadAll(part)
		if err != nil {
			return nil, "", "", false
		}
		switch part.FormName() {
		case "file":
			content, name, ok = b, part.FileName(), true
		case "purpose":
			purpose = string(b)
		}
	}
}

// store keeps a response for later calls, unless the request says that it shouldn't be. Its id is then one of its own.
func (m *mantle) store(c *awsapi.Call, in, response obj) error {
	if stored, ok := in["store"].(bool); ok && !stored {
		return nil
	}
	text, err := json.Marshal(response)
	if err != nil {
		return err
	}
	k := kept{Made: c.Time}
	if err := json.Unmarshal(text, &k.Object); err != nil {
		return err
	}
	return m.b.State.Put(keptBucket, fmt.Sprintf("%s/response/%s", c.Region, response["id"]), k)
}
