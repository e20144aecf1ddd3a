// A service of another language: it reads its links from the environment.
package main

import (
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"os"
	"time"
)

func main() {
	var files struct {
		Name string `json:"name"`
	}
	if err := json.Unmarshal([]byte(os.Getenv("SST_RESOURCE_Files")), &files); err != nil {
		log.Fatal(err)
	}
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Access-Control-Allow-Origin", "*")
		fmt.Fprintf(w, "%s, and the bucket is %s\n", time.Now().Format(time.RFC3339), files.Name)
	})
	http.HandleFunc("/crash", func(w http.ResponseWriter, r *http.Request) {
		log.Print("crashing, as asked")
		os.Exit(3)
	})
	address := "127.0.0.1:" + os.Getenv("PORT")
	log.Print("listening on http://", address)
	log.Fatal(http.ListenAndServe(address, nil))
}
